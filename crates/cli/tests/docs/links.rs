//! Links within the repository: files and anchors exist.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::markdown::Page;
use crate::{Faults, markdown_files, root};

pub(crate) fn check() -> Faults {
    let pages = markdown_files();
    faults(&pages, &|path| root().join(path).exists())
}

/// Links of `pages` that lead nowhere; `exists` says which paths there are.
pub(crate) fn faults(pages: &[Page], exists: &dyn Fn(&Path) -> bool) -> Faults {
    let by_name: HashMap<&str, &Page> = pages.iter().map(|page| (page.name.as_str(), page)).collect();
    let mut faults = Faults::new();
    for page in pages {
        for link in &page.links {
            if is_external(&link.target) {
                continue;
            }
            let (file, anchor) = match link.target.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (link.target.as_str(), None),
            };
            let mut fault =
                |what: &str| faults.push(format!("{}:{}: {}: {what}", page.name, link.line, link.target));
            let Some(path) = resolve(&page.name, file) else {
                fault("outside of the repository");
                continue;
            };
            if !exists(&path) {
                fault("no such file");
                continue;
            }
            let name = path.to_string_lossy();
            if let (Some(anchor), Some(target)) = (anchor, by_name.get(&*name))
                && !target.anchors.contains(anchor)
            {
                fault("no such heading");
            }
        }
    }
    faults
}

fn is_external(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

/// Path from the root of what a link of `page` names; `None` where it leaves the repository.
fn resolve(page: &str, file: &str) -> Option<PathBuf> {
    if file.is_empty() {
        return Some(page.into());
    }
    let base = match file.strip_prefix('/') {
        Some(_) => PathBuf::new(),
        None => Path::new(page).parent()?.to_owned(),
    };
    let mut path = PathBuf::new();
    for part in base.join(file.trim_start_matches('/')).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}
