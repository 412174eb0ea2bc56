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
    let g = 4e-9*1500.0*1500.0*512.0;
    println!("best {:.2} ms, median {:.2} ms, {:.0} Gop/s median, roof {:.0}: {:.0} %", 1e3*t[0], 1e3*t[n/2], g/t[n/2], f, 100.0*g/t[n/2]/f);
}
