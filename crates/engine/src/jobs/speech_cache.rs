//! Cache of recent speech, for requests that repeat it: menus, greetings, prompts.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::jobs::speech::{SpeakRequest, SpeechResult};

/// Everything that the audio depends on: equal requests get equal audio, as all randomness comes from the seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key(SpeakRequest);

impl Key {
    /// `voice` is the model's own name of the voice, whatever name was requested.
    pub(crate) fn new(request: &SpeakRequest, voice: Option<String>) -> Self {
        let mut request = request.clone();
        request.options.voice = voice;
        // The audio does not depend on the client.
        request.client = None;
        Self(request)
    }
}

/// A finished speech, encoded.
#[derive(Clone, Debug)]
pub(crate) struct CachedSpeech {
    pub(crate) voice: Option<String>,
    pub(crate) audio: Bytes,
    pub(crate) spoken: SpeechResult,
}

/// The most recently used speech, up to a limit of bytes.
pub(crate) struct SpeechCache {
    limit_bytes: usize,
    bytes: usize,
    /// The most recently used is last.
    kept: VecDeque<(Key, CachedSpeech)>,
}

impl SpeechCache {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, kept: VecDeque::new() }
    }

    /// Maximum bytes of one entry, so that one does not evict all others.
    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.limit_bytes / 4
    }

    /// The cached speech of this request.
    pub(crate) fn get(&mut self, key: &Key) -> Option<CachedSpeech> {
        let place = self.kept.iter().position(|(other, _)| other == key)?;
        let found = self.kept.remove(place)?;
        let kept = found.1.clone();
        self.kept.push_back(found);
        Some(kept)
    }

    /// Adds a speech and evicts the least recently used.
    pub(crate) fn put(&mut self, key: Key, kept: CachedSpeech) {
        self.forget_where(|other| *other == key);
        self.bytes += size(&key, &kept);
        self.kept.push_back((key, kept));
        while self.bytes > self.limit_bytes {
            let Some((key, kept)) = self.kept.pop_front() else { break };
            self.bytes -= size(&key, &kept);
        }
    }

    /// Removes all speech of a model.
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

/// Bytes of an entry.
fn size(key: &Key, kept: &CachedSpeech) -> usize {
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

    fn kept(bytes: usize) -> CachedSpeech {
        CachedSpeech { voice: None, audio: vec![0; bytes].into(), spoken: SpeechResult::default() }
    }

    #[test]
    fn the_least_recently_used_is_evicted_first() {
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
    fn requests_with_different_audio_have_different_keys() {
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
