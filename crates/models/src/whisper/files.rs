//! Which files of a repository or folder make a Whisper checkpoint. Repositories hold the same weights several times
//! (f32, f16, other frameworks); one set is enough.

/// Files beside the weights, fetched if present.
const SIDE_FILES: [&str; 11] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocabulary.txt",
    "vocabulary.json",
];

/// The files that make a checkpoint, weights first; an error says what is missing.
pub(super) fn select<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
    let find = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    let mut chosen = weights(names).ok_or("it has no weights in a supported format")?;
    find("config.json").ok_or("it has no config.json")?;
    if find("tokenizer.json").is_none() && (find("vocab.json").is_none() || find("merges.txt").is_none()) {
        return Err("it has no tokenizer");
    }
    chosen.extend(SIDE_FILES.iter().filter_map(|name| find(name)));
    Ok(chosen)
}

/// One set of weights: safetensors before pickles before CTranslate2, whole before sharded.
fn weights<'a>(names: &[&'a str]) -> Option<Vec<&'a str>> {
    let find = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    for (whole, stem, extension) in
        [("model.safetensors", "model-", ".safetensors"), ("pytorch_model.bin", "pytorch_model-", ".bin")]
    {
        if let Some(file) = find(whole) {
            return Some(vec![file]);
        }
        if let Some(index) = find(&format!("{whole}.index.json"))
            && let Some(mut shards) = shards(names, stem, extension)
        {
            shards.push(index);
            return Some(shards);
        }
    }
    find("model.bin").map(|file| vec![file])
}

/// `model-00001-of-00002.safetensors` and so on, if none is missing.
fn shards<'a>(names: &[&'a str], stem: &str, extension: &str) -> Option<Vec<&'a str>> {
    let numbers = |name: &str| {
        let (number, count) = name.strip_prefix(stem)?.strip_suffix(extension)?.split_once("-of-")?;
        Some((number.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let mut found: Vec<(usize, usize, &str)> =
        names.iter().filter_map(|name| numbers(name).map(|(number, count)| (number, count, *name))).collect();
    found.sort_unstable();
    let in_order =
        found.iter().enumerate().all(|(i, (number, count, _))| *number == i + 1 && *count == found.len());
    (in_order && !found.is_empty()).then(|| found.into_iter().map(|(_, _, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_set_of_weights_is_chosen() {
        let large_v3 = [
            ".gitattributes",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "generation_config.json",
            "merges.txt",
            "model.fp32-00001-of-00002.safetensors",
            "model.fp32-00002-of-00002.safetensors",
            "model.safetensors",
            "model.safetensors.index.fp32.json",
            "pytorch_model.bin",
            "tokenizer.json",
            "vocab.json",
        ];
        assert_eq!(
            select(&large_v3).unwrap(),
            [
                "model.safetensors",
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "vocab.json",
                "merges.txt"
            ]
        );
        let pickles = ["pytorch_model.bin", "config.json", "vocab.json", "merges.txt"];
        assert_eq!(select(&pickles).unwrap()[0], "pytorch_model.bin");
        let ctranslate2 = ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"];
        assert_eq!(
            select(&ctranslate2).unwrap(),
            ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"]
        );
    }

    #[test]
    fn shards_must_be_complete() {
        let mut names = vec![
            "model-00002-of-00002.safetensors",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
        ];
        assert_eq!(
            select(&names).unwrap()[..3],
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json"
            ]
        );
        names.remove(0);
        assert_eq!(select(&names), Err("it has no weights in a supported format"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(select(&["model.safetensors"]), Err("it has no config.json"));
        assert_eq!(select(&["model.safetensors", "config.json", "vocab.json"]), Err("it has no tokenizer"));
    }
}
