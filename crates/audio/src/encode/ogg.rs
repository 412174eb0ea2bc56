//! Ogg pages (RFC 3533) of one logical stream.

/// Page header flags.
const BEGIN: u8 = 2;
const END: u8 = 4;

/// Writes packets to pages. A packet never spans pages: those of Opus are at most 1275 bytes for a frame.
pub(super) struct Pages {
    serial: u32,
    sequence: u32,
    lacing: Vec<u8>,
    payload: Vec<u8>,
}

impl Pages {
    pub(super) fn new(serial: u32) -> Self {
        Self { serial, sequence: 0, lacing: Vec::new(), payload: Vec::new() }
    }

    /// Adds a packet to the current page.
    pub(super) fn add(&mut self, packet: &[u8]) {
        self.lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.lacing.push((packet.len() % 255) as u8);
        self.payload.extend_from_slice(packet);
    }

    /// Whether a packet of up to `bytes` still fits into the current page.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.lacing.len() + bytes / 255 < 255
    }

    /// Writes the current page. `granule` is the position at the end of its last packet.
    pub(super) fn write(&mut self, granule: u64, last: bool, out: &mut Vec<u8>) {
        let flags = if self.sequence == 0 { BEGIN } else { 0 } | if last { END } else { 0 };
        let start = out.len();
        out.extend_from_slice(b"OggS\0");
        out.push(flags);
        out.extend_from_slice(&granule.to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        let crc_at = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(self.lacing.len() as u8);
        out.append(&mut self.lacing);
        out.append(&mut self.payload);
        let crc = crc32(&out[start..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        self.sequence += 1;
    }
}

/// The checksum of RFC 3533, section 6: polynomial 0x04c11db7, not reflected, from zero.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = (byte as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, &byte| crc << 8 ^ TABLE[(crc >> 24) as usize ^ usize::from(byte)])
}
