use std::time::Instant;
use mynah_kernels::attention::{KeyValues, Queries, attend};
use mynah_kernels::{pool, roof};
fn main(){
    pool::set_threads(std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2));
    let noise = |n: usize| -> Vec<f32> { let mut s=1u32; (0..n).map(|_| { s = s.wrapping_mul(1664525).wrapping_add(1013904223); (s>>8) as f32 / 8388608.0 - 1.0 }).collect() };
    let qkv = noise(1500 * 1536);
    let mut out = vec![0.0; 1500 * 512];
    let kv = KeyValues::<f32>::pack(8, 64, 1500, &qkv[512..], &qkv[1024..], 1536);
    let n: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(40);
    let mut t: Vec<f64> = (0..n).map(|_| { let t=Instant::now(); attend(Queries { data: &qkv, rows: 1500, stride: 1536 }, 0.125, &kv, &mut out); t.elapsed().as_secs_f64()}).collect();
    t.sort_by(f64::total_cmp);
    let f = (0..10).map(|_| roof::f32_gops()).fold(0.0, f64::max);
    // accuracy on sharper scores
    let sharp: Vec<f32> = qkv.iter().enumerate().map(|(i, v)| if i % 1536 < 1024 { v * 3.0 } else { *v }).collect();
    let kv = KeyValues::<f32>::pack(8, 64, 1500, &sharp[512..], &sharp[1024..], 1536);
    attend(Queries { data: &sharp, rows: 1500, stride: 1536 }, 0.125, &kv, &mut out);
    let (mut worst, mut sq, mut ref_sq, mut n2) = (0.0_f64, 0.0, 0.0, 0);
    for r in (0..1500).step_by(37) { for h in 0..8 {
        let q = &sharp[r * 1536 + h * 64..][..64];
        let sc: Vec<f64> = (0..1500).map(|t| { let k = &sharp[t * 1536 + 512 + h * 64..][..64]; q.iter().zip(k).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>() * 0.125 }).collect();
        let m = sc.iter().cloned().fold(f64::MIN, f64::max);
        let e: Vec<f64> = sc.iter().map(|s| (s - m).exp()).collect(); let tot: f64 = e.iter().sum();
        for d in 0..64 { let want: f64 = (0..1500).map(|t| e[t] * sharp[t * 1536 + 1024 + h * 64 + d] as f64).sum::<f64>() / tot;
            let off = out[r * 512 + h * 64 + d] as f64 - want; worst = worst.max(off.abs()); sq += off * off; ref_sq += want * want; n2 += 1; }
    } }
    println!("error: worst {worst:.2e}, rms {:.2e}, relative rms {:.2e}", (sq / n2 as f64).sqrt(), (sq / ref_sq).sqrt());
    let g = 4e-9*1500.0*1500.0*512.0;
    println!("best {:.2} ms, median {:.2} ms, {:.0} Gop/s median, roof {:.0}: {:.0} %", 1e3*t[0], 1e3*t[n/2], g/t[n/2], f, 100.0*g/t[n/2]/f);
}
