//! Reads weights by name from a voice file.

use std::path::Path;

use mynah_core::ModelError;
use mynah_kernels::{DepthwiseConv, LayerNorm, Matrix, Precision, QuantizedMatrix};
use mynah_weights::onnx::{FLOAT, Graph, INT8, Node, Tensor};

use crate::error;

/// Number of each operation in the graph that [`super::network`] implements. A file with other counts is another
/// network: if only its tensors were checked, it would silently produce garbage.
const OPERATORS: [(&str, usize); 32] = [
    ("Add", 155),
    ("Cast", 112),
    ("Clip", 1),
    ("Concat", 44),
    ("Constant", 391),
    ("Conv", 23),
    ("CumSum", 1),
    ("Div", 62),
    ("DynamicQuantizeLinear", 77),
    ("Erf", 29),
    ("Exp", 1),
    ("Gather", 40),
    ("GreaterOrEqual", 1),
    ("LayerNormalization", 41),
    ("Log", 1),
    ("MatMul", 20),
    ("MatMulInteger", 77),
    ("Mul", 273),
    ("Pow", 10),
    ("Range", 1),
    ("ReduceSum", 2),
    ("Relu", 1),
    ("Reshape", 43),
    ("Round", 1),
    ("Shape", 33),
    ("Slice", 31),
    ("Softmax", 10),
    ("Split", 1),
    ("Sub", 1),
    ("Tile", 1),
    ("Transpose", 85),
    ("Unsqueeze", 162),
];

/// The tensors of a voice's file.
pub(super) struct Weights<'a>(Graph<'a>);

impl<'a> Weights<'a> {
    /// Opens the file's bytes; `path` is for messages.
    pub(super) fn open(path: &Path, file: &'a [u8]) -> Result<Self, ModelError> {
        let graph = Graph::parse(file).map_err(|reason| error::malformed(path, reason))?;
        let operators = graph.operators();
        let known = |(name, count): &(&str, usize)| operators.get(name) == Some(count);
        if operators.len() != OPERATORS.len() || !OPERATORS.iter().all(known) {
            return Err(ModelError::Unsupported(format!(
                "{} has not the graph of a hibari voice of version 0.2; use one of those files",
                path.display()
            )));
        }
        Ok(Self(graph))
    }

    fn tensor(&self, name: &str, data_type: u64, shape: &[usize]) -> Result<&Tensor<'a>, ModelError> {
        let wrong = |reason: String| error::tensor(name, reason);
        let tensor = self.0.tensors.get(name).ok_or_else(|| wrong("is missing".into()))?;
        if tensor.data_type != data_type || tensor.shape != shape {
            let (found_type, found) = (tensor.data_type, &tensor.shape);
            let reason = format!("expected type {data_type} {shape:?}, found type {found_type} {found:?}");
            return Err(wrong(reason));
        }
        Ok(tensor)
    }

    /// A tensor of floats.
    pub(super) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let numbers = self.tensor(name, FLOAT, shape)?.floats();
        let numbers = numbers.map_err(|reason| error::tensor(name, reason))?;
        if numbers.iter().all(|v| v.is_finite()) {
            Ok(numbers)
        } else {
            Err(error::tensor(name, "has numbers that are not finite"))
        }
    }

    /// A tensor of signed bytes.
    fn signed_bytes(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>, ModelError> {
        let numbers = self.tensor(name, INT8, shape)?.signed_bytes();
        numbers.map_err(|reason| error::tensor(name, reason))
    }

    /// `{name}.weight` and `{name}.bias` of a normalisation.
    pub(super) fn norm(&self, name: &str, channels: usize) -> Result<LayerNorm, ModelError> {
        let weight = self.floats(&format!("{name}.weight"), &[channels])?;
        Ok(LayerNorm::new(weight, self.floats(&format!("{name}.bias"), &[channels])?))
    }

    /// `{name}.weight` and `{name}.bias` of a depthwise convolution.
    pub(super) fn depthwise(
        &self,
        name: &str,
        channels: usize,
        width: usize,
    ) -> Result<DepthwiseConv, ModelError> {
        let weight_name = format!("{name}.weight");
        let weight = self.floats(&weight_name, &[channels, 1, width])?;
        let node =
            self.0.nodes.iter().find(|n| n.operator == "Conv" && n.inputs.contains(&weight_name.as_str()));
        let dilation = node.and_then(|node| node.integers("dilations").first().copied()).unwrap_or(0);
        if !(1..=64).contains(&dilation) {
            return Err(error::tensor(weight_name, format!("has a dilation of {dilation}")));
        }
        let bias = self.floats(&format!("{name}.bias"), &[channels])?;
        Ok(DepthwiseConv::new(&weight, bias, dilation as usize))
    }

    /// `{name}.weight` and `{name}.bias` of a convolution: the weights for rows of `width` frames of `inputs` numbers.
    pub(super) fn convolution(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        width: usize,
    ) -> Result<(Matrix, Vec<f32>), ModelError> {
        let weight = self.floats(&format!("{name}.weight"), &[outputs, inputs, width])?;
        let matrix = Matrix::pack(Precision::F32, outputs, inputs * width, |output, row| {
            let weight = &weight[output * inputs * width..];
            row.iter_mut().enumerate().for_each(|(i, to)| *to = weight[i % inputs * width + i / inputs]);
        });
        Ok((matrix, self.floats(&format!("{name}.bias"), &[outputs])?))
    }

    /// The quantised layer whose bias is the tensor `bias`. Its weights have generated names, so they are
    /// found through the graph: bias <- Add -> Mul -> Cast -> MatMulInteger -> weights.
    pub(super) fn linear(
        &self,
        bias: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<QuantizedMatrix, ModelError> {
        let wrong = |reason: &str| error::tensor(bias, reason);
        let product =
            self.product_before(bias).ok_or_else(|| wrong("is not added to a quantised product"))?;
        let [_, weights, _, zero] = product.inputs[..] else {
            return Err(wrong("is added to a product without zero points"));
        };
        let name = weights
            .strip_suffix("_quantized")
            .ok_or_else(|| wrong("is added to a product of an unknown kind"))?;
        let scale = self.floats(&format!("{name}_scale"), &[])?[0];
        if self.signed_bytes(zero, &[])? != [0] {
            return Err(error::tensor(zero, "only 0 is supported"));
        }
        let weights = self.signed_bytes(weights, &[inputs, outputs])?;
        Ok(QuantizedMatrix::pack(inputs, outputs, &weights, scale, &self.floats(bias, &[outputs])?))
    }

    fn product_before(&self, bias: &str) -> Option<&Node<'a>> {
        let maker = |operator: &str, name: &str| {
            self.0.nodes.iter().find(|n| n.operator == operator && n.outputs.first() == Some(&name))
        };
        let add = self.0.nodes.iter().find(|n| n.operator == "Add" && n.inputs.contains(&bias))?;
        let sum = add.inputs.iter().find(|&&input| input != bias)?;
        let scaled = maker("Mul", sum)?;
        let cast = scaled.inputs.iter().find_map(|input| maker("Cast", input))?;
        maker("MatMulInteger", cast.inputs.first()?)
    }
}
