//! Cache of recent speech, for requests that repeat it: menus, greetings, prompts.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::jobs::speech::{SpeakRequest, SpeechResult};

/// All that the audio depends on: equal requests get equal audio, as what is random in it comes of the seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key(SpeakRequest);

impl Key {
    /// `voice` is the one that speaks, whatever name it was asked for by.
    pub(crate) fn new(request: &SpeakRequest, voice: Option<String>) -> Self {
        let mut request = request.clone();
        request.options.voice = voice;
        // Independent of the client.
        request.client = None;
        Self(request)
    }
}

/// A speech as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) voice: Option<String>,
    pub(crate) audio: Bytes,
    pub(crate) spoken: SpeechResult,
}

/// The speeches used last, within a bound of bytes.
pub(crate) struct SpeechCache {
    limit_bytes: usize,
    bytes: usize,
    /// The latest used last.
    kept: VecDeque<(Key, Kept)>,
}

impl SpeechCache {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, kept: VecDeque::new() }
    }

    /// Bytes of the largest audio that is kept: one speech does not drive out all others.
    pub(crate) fn largest(&self) -> usize {
        self.limit_bytes / 4
    }

    /// The speech that was made for this request.
    pub(crate) fn get(&mut self, key: &Key) -> Option<Kept> {
        let place = self.kept.iter().position(|(other, _)| other == key)?;
        let found = self.kept.remove(place)?;
        let kept = found.1.clone();
        self.kept.push_back(found);
        Some(kept)
    }

    /// Keeps a speech and forgets those used least lately.
    pub(crate) fn put(&mut self, key: Key, kept: Kept) {
        self.forget_where(|other| *other == key);
        self.bytes += size(&key, &kept);
        self.kept.push_back((key, kept));
        while self.bytes > self.limit_bytes {
            let Some((key, kept)) = self.kept.pop_front() else { break };
            self.bytes -= size(&key, &kept);
        }
    }

    /// Forgets what a model said.
    pub(crate) fn forget_model(&mut self, model: &crate::model_ref::ModelRef) {
        self.forget_where(|key| key.0.model == *model);
    }

    fn forget_where(&mut self, matches: impl Fn(&Key) -> bool) {
        self.kept.retain(|(key, kept)| {
            let goes = matches(key);
            if goes {
                self.bytes -= size(key, kept);
            }
            !goes
        });
    }
}

/// Bytes that an entry takes.
fn size(key: &Key, kept: &Kept) -> usize {
    const FIXED: usize = 512;
    let words: usize = kept.spoken.words.iter().map(|word| word.text.len() + size_of_val(word)).sum();
    FIXED + key.0.text.len() + kept.audio.len() + kept.spoken.head.len() + words
}

#[cfg(test)]
mod tests {
    use mynah_audio::{EncodeOptions, OutputFormat};
    use mynah_core::SpeechOptions;

    use super::*;
    use crate::model_ref::ModelRef;

    fn key(text: &str) -> Key {
        Key(SpeakRequest {
            model: ModelRef::Named("hibari".into()),
            text: text.into(),
            options: SpeechOptions::default(),
            format: OutputFormat::Wav,
            encoding: EncodeOptions::default(),
            client: None,
        })
    }

    fn kept(bytes: usize) -> Kept {
        Kept { voice: None, audio: vec![0; bytes].into(), spoken: SpeechResult::default() }
    }

    #[test]
    fn what_was_not_used_lately_goes_first() {
        let mut cache = SpeechCache::new(4000);
        cache.put(key("one"), kept(1000));
        cache.put(key("two"), kept(1000));
        assert!(cache.get(&key("one")).is_some());
        cache.put(key("three"), kept(1000));
        assert!(cache.get(&key("two")).is_none() && cache.get(&key("one")).is_some());
        assert!(cache.bytes <= 4000);
        cache.put(key("one"), kept(100));
        assert_eq!(cache.get(&key("one")).unwrap().audio.len(), 100);
        cache.forget_model(&ModelRef::Named("hibari".into()));
        assert_eq!((cache.bytes, cache.kept.len()), (0, 0));
    }

    #[test]
    fn whatever_the_audio_depends_on_distinguishes_speeches() {
        let mut cache = SpeechCache::new(1 << 20);
        cache.put(key("one"), kept(10));
        let mut other = key("one");
        other.0.options.speed = 1.5;
        assert!(cache.get(&other).is_none());
        other = key("one");
        other.0.options.seed = 7;
        assert!(cache.get(&other).is_none());
        other = key("one");
        other.0.encoding.sample_rate_hz = Some(8000);
        assert!(cache.get(&other).is_none());
        let mut none = SpeechCache::new(0);
        none.put(key("one"), kept(0));
        assert!(none.get(&key("one")).is_none());
    }
}
