use std::io::Write;

use barid_domain::Secret;
use barid_runtime::config::{self, Validate};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    url: String,
    password: Secret,
    limits: Limits,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    most: u32,
}

impl Validate for Sample {
    fn problems(&self) -> Vec<String> {
        if self.limits.most == 0 { vec!["limits.most: is 0; give at least 1".to_owned()] } else { vec![] }
    }
}

const DEFAULTS: &str = "url = \"here\"\n[limits]\nmost = 5\n";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn load(text: &str) -> Result<Sample, String> {
    config::load("sample", DEFAULTS, Some(file(text).path())).map_err(|error| error.to_string())
}

#[test]
fn a_file_goes_over_defaults_and_other_sections_do_not_matter() {
    let sample = load("[sample]\npassword = \"secret\"\nlimits.most = 7\n[other]\nurl = \"there\"\n").expect("a configuration");
    assert_eq!((sample.url.as_str(), sample.limits.most, sample.password.expose()), ("here", 7, "secret"));
    let dump = config::dump("sample", &sample).expect("a dump");
    assert!(dump.contains("password = \"***\"") && !dump.contains("secret"), "{dump}");
}

#[test]
fn errors_name_the_key_and_the_variable() {
    let missing = load("[sample]\n").expect_err("no password");
    assert!(missing.contains("sample.password: is missing; set it in the file or as BARID_SAMPLE__PASSWORD"), "{missing}");
    let unknown = load("[sample]\npassword = \"a\"\nurk = 1\n").expect_err("a wrong key");
    assert!(unknown.contains("sample.urk: is not a setting; known here: url, password, limits"), "{unknown}");
    let kind = load("[sample]\npassword = \"a\"\nlimits.most = \"many\"\n").expect_err("a wrong type");
    assert!(kind.contains("sample.limits.most:"), "{kind}");
    let rule = load("[sample]\npassword = \"a\"\nlimits.most = 0\n").expect_err("against a rule");
    assert!(rule.contains("sample.limits.most: is 0; give at least 1"), "{rule}");
}
