//! ConvNeXt blocks (arXiv:2201.03545) over time, in the stacks of ChatTTS and Vocos. Rows are frames.

use mynah_core::ModelError;
use mynah_kernels::{DepthwiseConv, Epilogue, LayerNorm, Matrix};

use super::conv_buffer::ConvBuffer;
use super::weights::Reader;

/// A convolution over time that reads `half` frames to either side.
pub(super) struct Conv {
    inputs: usize,
    half: usize,
    weight: Matrix,
    bias: Option<Vec<f32>>,
    gelu: bool,
}

impl Conv {
    /// Reads `name.weight`, `[outputs, inputs, 2 half + 1]`, and `name.bias` if there is one.
    pub(super) fn load(
        reader: &Reader<'_>,
        name: &str,
        [outputs, inputs, half]: [usize; 3],
        gelu: bool,
    ) -> Result<Self, ModelError> {
        let weight = reader.convolution(&format!("{name}.weight"), [outputs, inputs, 2 * half + 1], None)?;
        let bias = format!("{name}.bias");
        let bias = if reader.has(&bias) { Some(reader.floats(&bias, [outputs])?) } else { None };
        Ok(Self { inputs, half, weight, bias, gelu })
    }

    /// A convolution without bias whose outputs are multiplied by `scales`.
    pub(super) fn load_scaled(
        reader: &Reader<'_>,
        name: &str,
        [outputs, inputs, half]: [usize; 3],
        scales: &[f32],
    ) -> Result<Self, ModelError> {
        let shape = [outputs, inputs, 2 * half + 1];
        let weight = reader.convolution(&format!("{name}.weight"), shape, Some(scales))?;
        Ok(Self { inputs, half, weight, bias: None, gelu: false })
    }

    pub(super) fn window(&self) -> ConvBuffer {
        ConvBuffer::new(self.inputs, self.half)
    }

    pub(super) fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    pub(super) fn bytes(&self) -> usize {
        self.weight.bytes()
    }

    /// Takes the next frames and returns the outputs that became final.
    pub(super) fn run(&self, window: &mut ConvBuffer, x: &[f32], end: bool) -> Vec<f32> {
        window.push(x, end);
        let rows = window.ready();
        let mut out = vec![0.0; rows * self.outputs()];
        let epilogue = Epilogue { bias: self.bias.as_deref(), gelu: self.gelu, add: false };
        // Neighbouring frames' inputs overlap.
        self.weight.apply_strided(window.rows(), rows, self.inputs, &mut out, self.outputs(), &epilogue);
        window.advance();
        out
    }
}

/// Depthwise convolution, normalisation and two layers with GELU between them, scaled and added to the input.
pub(super) struct Block {
    width: usize,
    half: usize,
    conv: DepthwiseConv,
    norm: LayerNorm,
    widen: Matrix,
    widen_bias: Vec<f32>,
    /// The block's scale is folded into these weights.
    narrow: Matrix,
    narrow_bias: Vec<f32>,
}

impl Block {
    /// Reads block `name`, whose scale tensor is named `scale`.
    pub(super) fn load(
        reader: &Reader<'_>,
        name: &str,
        scale: &str,
        width: usize,
        dilation: usize,
    ) -> Result<Self, ModelError> {
        let [hidden, _] = reader.shape(&format!("{name}.pwconv1.weight"))?;
        let scales = reader.floats(&format!("{name}.{scale}"), [width])?;
        let mut narrow_bias = reader.floats(&format!("{name}.pwconv2.bias"), [width])?;
        narrow_bias.iter_mut().zip(&scales).for_each(|(bias, scale)| *bias *= scale);
        Ok(Self {
            width,
            half: 3 * dilation,
            conv: reader.depthwise(&format!("{name}.dwconv"), width, dilation)?,
            norm: reader.layer_norm(&format!("{name}.norm"), width)?,
            widen: reader.matrix(&format!("{name}.pwconv1.weight"), hidden, width)?,
            widen_bias: reader.floats(&format!("{name}.pwconv1.bias"), [hidden])?,
            narrow: reader.scaled_matrix(&format!("{name}.pwconv2.weight"), width, hidden, &scales)?,
            narrow_bias,
        })
    }

    pub(super) fn window(&self) -> ConvBuffer {
        ConvBuffer::new(self.width, self.half)
    }

    pub(super) fn bytes(&self) -> usize {
        self.widen.bytes() + self.narrow.bytes()
    }

    /// See [`Conv::run`].
    pub(super) fn run(&self, window: &mut ConvBuffer, x: &[f32], end: bool) -> Vec<f32> {
        window.push(x, end);
        let rows = window.ready();
        let mut out = window.own().to_vec();
        let mut normed = vec![0.0; out.len()];
        self.conv.apply_normalised_from(self.half, &self.norm, window.rows(), &mut normed);
        let mut hidden = vec![0.0; rows * self.widen.outputs()];
        self.widen.apply(&normed, rows, &mut hidden, &Epilogue::bias_gelu(&self.widen_bias));
        self.narrow.apply(&hidden, rows, &mut out, &Epilogue::bias_add(&self.narrow_bias));
        window.advance();
        out
    }
}

/// Two convolutions, blocks, and a last layer: the body of ChatTTS's mel decoder and of both halves of its DVAE.
pub(super) struct Stack {
    conv_in: [Conv; 2],
    blocks: Vec<Block>,
    conv_out: Conv,
}

/// A [`Stack`]'s state between chunks.
pub(super) struct StackStream {
    conv_in: [ConvBuffer; 2],
    blocks: Vec<ConvBuffer>,
    conv_out: ConvBuffer,
}

impl Stack {
    pub(super) fn load(reader: &Reader<'_>, name: &str) -> Result<Self, ModelError> {
        let [inner, inputs, _] = reader.shape(&format!("{name}.conv_in.0.weight"))?;
        let [width, _, _] = reader.shape(&format!("{name}.conv_in.2.weight"))?;
        let [outputs, _, _] = reader.shape(&format!("{name}.conv_out.weight"))?;
        let block = |i: usize| format!("{name}.decoder_block.{i}");
        let count = reader.count(&format!("{name}.decoder_block."));
        // In older files the scale is named gamma, as in Vocos.
        let scale = if reader.has(&format!("{}.weight", block(0))) { "weight" } else { "gamma" };
        Ok(Self {
            conv_in: [
                Conv::load(reader, &format!("{name}.conv_in.0"), [inner, inputs, 1], true)?,
                Conv::load(reader, &format!("{name}.conv_in.2"), [width, inner, 1], false)?,
            ],
            blocks: (0..count)
                .map(|i| Block::load(reader, &block(i), scale, width, 2))
                .collect::<Result<_, _>>()?,
            conv_out: Conv::load(reader, &format!("{name}.conv_out"), [outputs, width, 0], false)?,
        })
    }

    pub(super) fn outputs(&self) -> usize {
        self.conv_out.outputs()
    }

    pub(super) fn bytes(&self) -> usize {
        let convs = self.conv_in.iter().chain([&self.conv_out]).map(Conv::bytes).sum::<usize>();
        convs + self.blocks.iter().map(Block::bytes).sum::<usize>()
    }

    pub(super) fn stream(&self) -> StackStream {
        StackStream {
            conv_in: self.conv_in.each_ref().map(Conv::window),
            blocks: self.blocks.iter().map(Block::window).collect(),
            conv_out: self.conv_out.window(),
        }
    }

    /// Takes the next frames and returns the outputs that became final; `on_stage` receives each stage's output.
    pub(super) fn run(
        &self,
        stream: &mut StackStream,
        x: &[f32],
        end: bool,
        on_stage: &mut dyn FnMut(&[f32]),
    ) -> Vec<f32> {
        let mut x = x.to_vec();
        for (conv, window) in self.conv_in.iter().zip(&mut stream.conv_in) {
            x = conv.run(window, &x, end);
        }
        on_stage(&x);
        for (block, window) in self.blocks.iter().zip(&mut stream.blocks) {
            x = block.run(window, &x, end);
            on_stage(&x);
        }
        self.conv_out.run(&mut stream.conv_out, &x, end)
    }
}
