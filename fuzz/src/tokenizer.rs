//! Vocabularies. The first line names the type of file, the rest is the file.

use mynah_text::whisper_tokenizer::{WhisperTask, WhisperTokenizer};
use mynah_text::word_piece::WordPiece;

/// Text in several scripts, with symbols.
const TEXT: &str = " It's \"well-known\" (♪♪): 12,5 € — 你好，世界! नमस्ते <|endoftext|> \u{0}\u{fffd}";

/// Reads the file and encodes a text with it.
pub fn run(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (kind, file) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let text = || String::from_utf8_lossy(file);
    let read = match kind {
        b"tokenizer.json" => WhisperTokenizer::from_tokenizer_json(file),
        b"vocab.json" => WhisperTokenizer::from_vocab_json(file, 51865),
        b"vocabulary.txt" => {
            WhisperTokenizer::from_printable_tokens(&text().split('\n').collect::<Vec<_>>(), 51865)
        }
        b"tokens" => {
            let tokens: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
            WhisperTokenizer::from_vocabulary_tokens(&tokens, 51866)
        }
        _ => {
            if let Ok(pieces) = WordPiece::from_json(file) {
                let ids = pieces.encode(TEXT);
                assert!(ids.iter().all(|&id| (id as usize) < pieces.vocab_size()));
                let _ = pieces.decode(&ids);
            }
            return;
        }
    };
    let Ok(tokenizer) = read else { return };
    let ids = tokenizer.encode(TEXT);
    assert_eq!(tokenizer.decode(&ids), TEXT, "all bytes are tokens, so every text round-trips");
    let _ = tokenizer.split_to_word_tokens(&ids, Some("en"));
    let _ = tokenizer.split_to_word_tokens(&ids, Some("zh"));
    let _ = (tokenizer.non_speech_tokens(), tokenizer.prompt_only_tokens(), tokenizer.language_tokens());
    for id in [0, tokenizer.eot(), tokenizer.no_speech(), tokenizer.timestamp_begin(), u32::MAX] {
        let _ = (tokenizer.special_name(id), tokenizer.token_bytes(id), tokenizer.token_language(id));
    }
    assert!(tokenizer.vocab_size() > tokenizer.timestamp_begin() as usize);
    let _ = tokenizer.sot_sequence(Some("en"), WhisperTask::Translate, false);
}
