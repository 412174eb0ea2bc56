//! Reads tensors of a checkpoint and packs them for the kernels. Every name and shape is checked.

use mynah_core::ModelError;
use mynah_kernels::{DepthwiseConv, LayerNorm, Matrix, Precision};
use mynah_weights::Tensors;

use crate::error;

/// Epsilon of all layer normalisations of ChatTTS.
const NORM_EPSILON: f32 = 1e-6;

/// Reads tensors of one file.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// Name of the file in errors.
    pub(super) file: &'a str,
    pub(super) tensors: &'a Tensors,
    /// Prefix of every name in this file.
    pub(super) prefix: &'a str,
    /// Precision of matrices.
    pub(super) precision: Precision,
}

impl Reader<'_> {
    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn refuse(&self, name: &str, reason: String) -> ModelError {
        error::tensor(format!("{} of {}", self.full(name), self.file), reason)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.shape(&self.full(name)).is_some()
    }

    /// Number of parts `name0`, `name1`, ...: one more than the largest number.
    pub(super) fn count(&self, name: &str) -> usize {
        let name = self.full(name);
        let numbers = self
            .tensors
            .names()
            .filter_map(|full| full.strip_prefix(&name)?.split('.').next()?.parse::<usize>().ok());
        numbers.max().map_or(0, |largest| largest.saturating_add(1))
    }

    /// The shape of a tensor, which must have this rank and no size of 0.
    pub(super) fn shape<const RANK: usize>(&self, name: &str) -> Result<[usize; RANK], ModelError> {
        let shape = self.tensors.shape(&self.full(name));
        let shape = shape.ok_or_else(|| self.refuse(name, "the checkpoint has no such tensor".into()))?;
        match <[usize; RANK]>::try_from(shape) {
            Ok(shape) if !shape.contains(&0) => Ok(shape),
            Ok(shape) => Err(self.refuse(name, format!("its shape {shape:?} has a size of 0"))),
            Err(_) => Err(self.refuse(name, format!("its shape {shape:?} should have {RANK} sizes"))),
        }
    }

    /// The numbers of a tensor, which must have this shape.
    pub(super) fn floats<const RANK: usize>(
        &self,
        name: &str,
        shape: [usize; RANK],
    ) -> Result<Vec<f32>, ModelError> {
        let found = self.shape::<RANK>(name)?;
        if found != shape {
            return Err(self.refuse(name, format!("its shape is {found:?}, not {shape:?}")));
        }
        Ok(self.tensors.read_f32(&self.full(name))?)
    }

    /// A matrix `[outputs, inputs]`.
    pub(super) fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<Matrix, ModelError> {
        let values = self.floats(name, [outputs, inputs])?;
        Ok(self.pack(&values, outputs, inputs))
    }

    /// Matrices `[outputs, inputs]`, stacked.
    pub(super) fn stacked(
        &self,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Matrix, ModelError> {
        let mut values = Vec::with_capacity(names.len() * outputs * inputs);
        for name in names {
            values.extend(self.floats(name, [outputs, inputs])?);
        }
        Ok(self.pack(&values, names.len() * outputs, inputs))
    }

    pub(super) fn pack(&self, values: &[f32], outputs: usize, inputs: usize) -> Matrix {
        Matrix::pack(self.precision, outputs, inputs, |o, row| {
            row.copy_from_slice(&values[o * inputs..(o + 1) * inputs]);
        })
    }

    /// A matrix whose rows are multiplied by `scales`.
    pub(super) fn scaled_matrix(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        scales: &[f32],
    ) -> Result<Matrix, ModelError> {
        let values = self.floats(name, [outputs, inputs])?;
        Ok(Matrix::pack(self.precision, outputs, inputs, |o, row| {
            let values = &values[o * inputs..(o + 1) * inputs];
            row.iter_mut().zip(values).for_each(|(to, v)| *to = v * scales[o]);
        }))
    }

    /// A weight-normalised matrix (arXiv:1602.07868): row r is `original0[r] * original1[r] / |original1[r]|`.
    pub(super) fn weight_normalised(
        &self,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Matrix, ModelError> {
        let (mut lengths, mut directions) = (Vec::new(), Vec::new());
        for name in names {
            lengths.extend(self.floats(&format!("{name}.parametrizations.weight.original0"), [outputs, 1])?);
            directions.extend(
                self.floats(&format!("{name}.parametrizations.weight.original1"), [outputs, inputs])?,
            );
        }
        Ok(Matrix::pack(self.precision, names.len() * outputs, inputs, |o, row| {
            let direction = &directions[o * inputs..(o + 1) * inputs];
            let norm = direction.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let scale = if norm > 0.0 { f64::from(lengths[o]) / norm } else { 0.0 };
            row.iter_mut().zip(direction).for_each(|(to, v)| *to = (f64::from(*v) * scale) as f32);
        }))
    }

    /// A convolution's weight `[outputs, inputs, taps]` as a matrix over `[taps, inputs]`, rows multiplied by `scales`.
    pub(super) fn convolution(
        &self,
        name: &str,
        [outputs, inputs, taps]: [usize; 3],
        scales: Option<&[f32]>,
    ) -> Result<Matrix, ModelError> {
        let values = self.floats(name, [outputs, inputs, taps])?;
        Ok(Matrix::pack(self.precision, outputs, taps * inputs, |o, row| {
            let scale = scales.map_or(1.0, |scales| scales[o]);
            for (at, to) in row.iter_mut().enumerate() {
                *to = scale * values[(o * inputs + at % inputs) * taps + at / inputs];
            }
        }))
    }

    pub(super) fn layer_norm(&self, name: &str, width: usize) -> Result<LayerNorm, ModelError> {
        let weight = self.floats(&format!("{name}.weight"), [width])?;
        let bias = self.floats(&format!("{name}.bias"), [width])?;
        Ok(LayerNorm::with_epsilon(weight, bias, NORM_EPSILON))
    }

    /// A convolution of each channel with seven taps of its own.
    pub(super) fn depthwise(
        &self,
        name: &str,
        width: usize,
        dilation: usize,
    ) -> Result<DepthwiseConv, ModelError> {
        let weight = self.floats(&format!("{name}.weight"), [width, 1, 7])?;
        Ok(DepthwiseConv::new(&weight, self.floats(&format!("{name}.bias"), [width])?, dilation))
    }
}
