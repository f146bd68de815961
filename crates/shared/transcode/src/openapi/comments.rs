//! The comments of the protos.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// Comments by file and by the path of what they stand before. Empty when the pool has no source info.
pub(super) struct Comments {
    files: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl Comments {
    pub fn new(pool: &DescriptorPool) -> Self {
        let mut files = HashMap::new();
        for file in pool.files() {
            let Some(info) = &file.file_descriptor_proto().source_code_info else {
                continue;
            };
            let mut comments = HashMap::new();
            for location in &info.location {
                let text = match (&location.leading_comments, &location.trailing_comments) {
                    (Some(text), _) | (None, Some(text)) => clean(text),
                    (None, None) => continue,
                };
                if !text.is_empty() {
                    comments.insert(location.path.clone(), text);
                }
            }
            files.insert(file.name().to_owned(), comments);
        }
        Self { files }
    }

    /// `path` is a descriptor's `path()`.
    pub fn get(&self, file: &FileDescriptor, path: &[i32]) -> Option<&str> {
        self.files.get(file.name())?.get(path).map(String::as_str)
    }
}

/// Without the space that follows `//`.
fn clean(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

/// The first sentence, on one line and without its full stop.
pub(super) fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    let sentence = paragraph.split(". ").next().unwrap_or(&paragraph);
    sentence.trim_end_matches('.').to_owned()
}
