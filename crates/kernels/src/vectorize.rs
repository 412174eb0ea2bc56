//! Compiles plain Rust loops once more for wider registers. On 64-bit ARM they use NEON anyway.

use crate::cpu::Isa;

/// Runs `f` with everything inlined into it compiled for `isa`. Pass an `#[inline(always)]` closure that calls
/// `#[inline(always)]` functions. Only the width of registers changes: no operation is contracted or reordered, so
/// results are bit-identical on every instruction set.
pub(crate) fn vectorized<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    match isa {
        // SAFETY: `Isa::Avx2` is only made where the CPU has these.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => unsafe { avx2(f) },
        // SAFETY: so is `Isa::Avx512Vnni`.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(_) | Isa::Amx(_) => unsafe { avx512(f) },
        _ => f(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma,f16c")]
fn avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}
