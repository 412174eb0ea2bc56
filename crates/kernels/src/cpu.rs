//! The instruction set that this process uses.

use std::sync::OnceLock;

/// Proof that this process may use an instruction set: only the detection in this file makes one.
macro_rules! proof {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name(());
        )*
    };
}

proof! {
    /// The CPU has AVX2, FMA and F16C.
    Avx2;
    /// The CPU has what [`Avx2`] stands for, and AVX-512 F, BW, VL and VNNI.
    Avx512Vnni;
    /// The CPU has what [`Avx512Vnni`] stands for, AMX-INT8 and AMX-BF16, and the system lets this process use tiles.
    Amx;
    /// The CPU has NEON.
    Neon;
    /// The CPU has NEON and dot products of bytes.
    NeonDotprod;
}

/// Instruction sets that kernels are written for. A value proves that this process may use the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, on every machine.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C (x86-64-v3).
    Avx2(Avx2),
    /// The same with AVX-512 (F, BW, VL) and its dot products of integers (VNNI).
    Avx512Vnni(Avx512Vnni),
    /// The same with tiles of bytes (AMX-INT8) and of bfloat16 numbers (AMX-BF16).
    Amx(Amx),
    /// 64-bit ARM with NEON.
    Neon(Neon),
    /// The same with dot products of bytes (FEAT_DotProd).
    NeonDotprod(NeonDotprod),
}

impl Isa {
    /// Name as in the environment variable `MYNAH_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2(_) => "avx2",
            Isa::Avx512Vnni(_) => "avx512vnni",
            Isa::Amx(_) => "amx",
            Isa::Neon(_) => "neon",
            Isa::NeonDotprod(_) => "neondotprod",
        }
    }

    /// The instruction sets that this machine supports, the scalar one first.
    pub fn available() -> Vec<Isa> {
        let mut sets = vec![Isa::Scalar];
        sets.extend(vector_sets());
        sets
    }

    /// The set in use: the best one available, or the one that `MYNAH_ISA` names if the machine supports it.
    pub fn current() -> Isa {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let sets = Isa::available();
            let wanted = std::env::var("MYNAH_ISA").ok();
            let forced = sets.iter().copied().find(|isa| Some(isa.name()) == wanted.as_deref());
            forced.unwrap_or_else(|| sets.into_iter().last().unwrap_or(Isa::Scalar))
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn vector_sets() -> Vec<Isa> {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512_vnni = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    match (avx2, avx512_vnni) {
        (true, true) if amx() => {
            vec![Isa::Avx2(Avx2(())), Isa::Avx512Vnni(Avx512Vnni(())), Isa::Amx(Amx(()))]
        }
        (true, true) => vec![Isa::Avx2(Avx2(())), Isa::Avx512Vnni(Avx512Vnni(()))],
        (true, false) => vec![Isa::Avx2(Avx2(()))],
        (false, _) => vec![],
    }
}

/// Whether the CPU, which has AVX-512, has tiles as well and the system lets this process use them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn amx() -> bool {
    use std::arch::x86_64::__cpuid_count;
    // Bits of leaf 7's EDX (Intel's manual, volume 2A, CPUID).
    const BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    // Tiles add 8 KiB to each thread's state, which Linux saves only for processes that request it (x86/xstate.rst).
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    let features = __cpuid_count(7, 0).edx;
    features & BF16_TILE_INT8 == BF16_TILE_INT8
        // SAFETY: asks for a permission and touches no memory; systems that do not know the request refuse it.
        && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) } == 0
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn amx() -> bool {
    false
}

#[cfg(target_arch = "aarch64")]
fn vector_sets() -> Vec<Isa> {
    use std::arch::is_aarch64_feature_detected;
    match (is_aarch64_feature_detected!("neon"), is_aarch64_feature_detected!("dotprod")) {
        (true, true) => vec![Isa::Neon(Neon(())), Isa::NeonDotprod(NeonDotprod(()))],
        (true, false) => vec![Isa::Neon(Neon(()))],
        (false, _) => vec![],
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vector_sets() -> Vec<Isa> {
    vec![]
}

/// Physical cores that this process may use; logical ones if the system does not report them.
pub fn physical_cores() -> usize {
    let logical = std::thread::available_parallelism().map_or(1, usize::from);
    // Linux lists the hardware threads of each core; elsewhere, and in containers without /sys, logical cores are counted.
    let mut cores = std::collections::BTreeSet::new();
    for cpu in 0..1024 {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        match std::fs::read_to_string(path) {
            Ok(siblings) => cores.insert(siblings),
            Err(_) => break,
        };
    }
    if cores.is_empty() { logical } else { cores.len().min(logical) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_comes_first_and_baseline_sets_are_found() {
        let sets = Isa::available();
        assert_eq!(sets[0], Isa::Scalar);
        assert!(!cfg!(target_arch = "aarch64") || sets.contains(&Isa::Neon(Neon(()))), "{sets:?}");
        assert!(sets.contains(&Isa::current()));
    }
}
