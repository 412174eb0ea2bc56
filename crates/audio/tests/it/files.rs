//! Small writers for the containers that hold plain samples.

/// What a wav `fmt ` chunk says.
#[derive(Clone)]
pub(crate) struct Wav {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    pub(crate) bits: u16,
    /// Bytes of one frame or, for ADPCM, of one block.
    pub(crate) block: u16,
    /// after the common fields, with its length.
    pub(crate) extra: Vec<u8>,
}

impl Wav {
    pub(crate) fn new(tag: u16, channels: u16, rate: u32, bits: u16) -> Self {
        Self { tag, channels, rate, bits, block: channels * bits.div_ceil(8), extra: Vec::new() }
    }

    /// The same as WAVE_FORMAT_EXTENSIBLE with a channel mask.
    pub(crate) fn extensible(self, mask: u32) -> Self {
        let mut extra = 22u16.to_le_bytes().to_vec();
        extra.extend(self.bits.to_le_bytes());
        extra.extend(mask.to_le_bytes());
        extra.extend(self.tag.to_le_bytes());
        extra.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        Self { tag: 0xfffe, extra, ..self }
    }

    pub(crate) fn format(&self) -> Vec<u8> {
        let mut body = self.tag.to_le_bytes().to_vec();
        body.extend(self.channels.to_le_bytes());
        body.extend(self.rate.to_le_bytes());
        body.extend((self.rate * u32::from(self.block)).to_le_bytes());
        body.extend(self.block.to_le_bytes());
        body.extend(self.bits.to_le_bytes());
        body.extend(&self.extra);
        body
    }

    /// A whole RIFF file.
    pub(crate) fn file(&self, data: &[u8]) -> Vec<u8> {
        let chunks = [chunk(b"fmt ", &self.format()), chunk(b"data", data)].concat();
        [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WAVE", &chunks].concat()
    }

    /// A file whose size fields say something else.
    pub(crate) fn file_claiming(&self, data: &[u8], size: u32) -> Vec<u8> {
        let mut file = self.file(data);
        file[4..8].copy_from_slice(&size.to_le_bytes());
        let at = 12 + 8 + self.format().len() + 4;
        file[at..at + 4].copy_from_slice(&size.to_le_bytes());
        file
    }

    /// The same content as Sony Wave64.
    pub(crate) fn wave64(&self, data: &[u8]) -> Vec<u8> {
        const TAIL: &[u8] = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
        let chunk = |id: &[u8], body: &[u8]| {
            let mut bytes = [id, TAIL, &(body.len() as u64 + 24).to_le_bytes(), body].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let body = [b"wave", TAIL, &chunk(b"fmt ", &self.format()), &chunk(b"data", data)].concat();
        let head = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";
        [&head[..], &(body.len() as u64 + 24).to_le_bytes(), &body].concat()
    }

    /// The same content as RF64 or BW64, its sizes in the ds64 chunk.
    pub(crate) fn rf64(&self, id: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut sizes = 0u64.to_le_bytes().to_vec();
        sizes.extend((data.len() as u64).to_le_bytes());
        sizes.extend([0; 12]);
        let all_ones = u32::MAX.to_le_bytes();
        [
            &id[..],
            &all_ones,
            b"WAVE",
            &chunk(b"ds64", &sizes),
            &chunk(b"fmt ", &self.format()),
            b"data",
            &all_ones,
            data,
        ]
        .concat()
    }
}

/// A RIFF chunk, padded to an even length.
pub(crate) fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// 16-bit little-endian samples.
pub(crate) fn s16(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|x| ((x * 32767.0).round() as i16).to_le_bytes()).collect()
}

/// Channels side by side.
pub(crate) fn interleave(channels: &[&[f32]]) -> Vec<f32> {
    (0..channels[0].len()).flat_map(|n| channels.iter().map(move |channel| channel[n])).collect()
}

/// A Sun au file.
pub(crate) fn au(encoding: u32, rate: u32, channels: u32, size: u32, data: &[u8]) -> Vec<u8> {
    let words = [24, size, encoding, rate, channels];
    [b".snd".to_vec(), words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect(), data.to_vec()]
        .concat()
}

/// An aiff file, or with a codec an aifc file.
pub(crate) fn aiff(codec: Option<&[u8; 4]>, rate: u16, bits: u16, frames: u32, data: &[u8]) -> Vec<u8> {
    let big = |id: &[u8; 4], body: &[u8]| [&id[..], &(body.len() as u32).to_be_bytes(), body].concat();
    let mut common = [&1u16.to_be_bytes()[..], &frames.to_be_bytes(), &bits.to_be_bytes()].concat();
    let shift = rate.leading_zeros();
    common.extend((16383 + 15 - shift as u16).to_be_bytes());
    common.extend((u64::from(rate) << (48 + shift)).to_be_bytes());
    common.extend(codec.iter().flat_map(|codec| [&codec[..], b"\0\0"].concat()));
    let sound = [&[0; 8], data].concat();
    let form: &[u8; 4] = if codec.is_some() { b"AIFC" } else { b"AIFF" };
    let body = [&form[..], &big(b"COMM", &common), &big(b"SSND", &sound)].concat();
    big(b"FORM", &body)
}

/// A Core Audio file; a size of -1 runs to the end.
pub(crate) fn caf(codec: &[u8; 4], flags: u32, rate: f64, bits: u32, size: i64, data: &[u8]) -> Vec<u8> {
    let mut description = rate.to_be_bytes().to_vec();
    description.extend(codec);
    for word in [flags, bits / 8, 1, 1, bits] {
        description.extend(word.to_be_bytes());
    }
    let head = [b"caff\0\x01\0\0desc", &32i64.to_be_bytes()[..], &description].concat();
    [&head, &b"data"[..], &size.to_be_bytes(), &[0; 4], data].concat()
}
