//! Every way to break a caller is told, and what breaks nobody is not.

use super::*;
use prost_reflect::DescriptorPool;

const KEPT: &str = r#"
syntax = "proto3";
package barid.demo.v1;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";

service Letters {
  rpc Send(Letter) returns (Sent) {
    option (google.api.http) = { post: "/v1/letters" body: "*" additional_bindings { post: "/letters" body: "*" } };
  }
  rpc Follow(Letter) returns (stream Sent);
}

message Letter {
  reserved 9;
  reserved "stamp";
  string to = 1 [(google.api.field_behavior) = REQUIRED];
  string text = 2;
  repeated string lines = 3;
  optional int32 weight = 4;
  map<string, string> marks = 5;
  State state = 6;
  oneof way { string road = 7; string sea = 8; }
}

message Sent { string id = 1; }

enum State { STATE_UNSPECIFIED = 0; STATE_SENT = 1; STATE_READ = 2; }
"#;

fn pool(text: &str) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    let google = crate::workspace::root().join("proto/google/api");
    std::fs::create_dir_all(folder.path().join("google/api")).unwrap();
    for entry in std::fs::read_dir(google).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join("google/api").join(entry.file_name())).unwrap();
    }
    std::fs::write(folder.path().join("demo.proto"), text).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("demo.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// What is told when `old` is replaced by `new` in the kept text.
fn told(old: &str, new: &str) -> Vec<String> {
    assert!(KEPT.contains(old), "{old:?}");
    rules::broken(&pool(KEPT), &pool(&KEPT.replacen(old, new, 1)))
}

#[test]
fn what_is_taken_back_is_told() {
    let cases = [
        ("  string text = 2;\n", "", "barid.demo.v1.Letter.text is gone; mark it as deprecated instead"),
        ("  string text = 2;\n", "  reserved 2;\n", "barid.demo.v1.Letter.text is gone; mark it as deprecated instead"),
        ("string text = 2;", "string body = 2;", "barid.demo.v1.Letter.text is now called body: JSON and generated code know the name"),
        (
            "string text = 2;",
            "string text = 2 [json_name = \"body\"];",
            "barid.demo.v1.Letter.text is now called body in JSON, and was text",
        ),
        ("string text = 2;", "string text = 12;", "barid.demo.v1.Letter.text is gone; mark it as deprecated instead"),
        ("string text = 2;", "bytes text = 2;", "barid.demo.v1.Letter.text is now bytes, and was string"),
        ("string text = 2;", "optional string text = 2;", "barid.demo.v1.Letter.text is now optional string, and was string"),
        ("repeated string lines", "string lines", "barid.demo.v1.Letter.lines is now string, and was repeated string"),
        ("map<string, string>", "map<string, int64>", "barid.demo.v1.Letter.marks is now map<string, int64>, and was map<string, string>"),
        ("State state = 6;", "int32 state = 6;", "barid.demo.v1.Letter.state is now int32, and was barid.demo.v1.State"),
        ("string sea = 8; }", "} string sea = 8;", "barid.demo.v1.Letter.sea moved into or out of a oneof"),
        (
            "string text = 2;",
            "string text = 2 [(google.api.field_behavior) = REQUIRED];",
            "barid.demo.v1.Letter.text is required now, and was not",
        ),
        (
            "string text = 2;",
            "string text = 2; string from = 20 [(google.api.field_behavior) = REQUIRED];",
            "barid.demo.v1.Letter.from is new and required, which no caller of the last release can know",
        ),
        ("  reserved 9;\n", "  string new = 9;\n", "which was reserved because it once meant something else"),
        ("  reserved \"stamp\";\n", "  string stamp = 10;\n", "a name that was reserved because it once meant something else"),
        (" STATE_READ = 2;", "", "barid.demo.v1.STATE_READ is gone; mark it as deprecated instead"),
        ("STATE_READ = 2", "STATE_SEEN = 2", "barid.demo.v1.STATE_READ is now called STATE_SEEN: JSON knows the name"),
        ("STATE_READ = 2", "STATE_READ = 3", "barid.demo.v1.STATE_READ is gone"),
        (
            "  rpc Follow(Letter) returns (stream Sent);\n",
            "",
            "the method barid.demo.v1.Letters.Follow is gone; mark it as deprecated instead",
        ),
        ("returns (stream Sent)", "returns (Sent)", "barid.demo.v1.Letters.Follow streams otherwise than it did"),
        ("Follow(Letter)", "Follow(Sent)", "barid.demo.v1.Letters.Follow takes barid.demo.v1.Sent now, and did barid.demo.v1.Letter"),
        (
            "returns (Sent) {",
            "returns (Letter) {",
            "barid.demo.v1.Letters.Send answers barid.demo.v1.Letter now, and did barid.demo.v1.Sent",
        ),
        (
            " additional_bindings { post: \"/letters\" body: \"*\" }",
            "",
            "barid.demo.v1.Letters.Send is not at POST /letters (body *) any more",
        ),
        ("post: \"/v1/letters\"", "put: \"/v1/letters\"", "barid.demo.v1.Letters.Send is not at POST /v1/letters (body *) any more"),
        ("service Letters", "service Post", "the service barid.demo.v1.Letters is gone"),
        ("message Sent { string id = 1; }", "message Sent { string id = 1; } message Extra {}", ""),
    ];
    for (old, new, expected) in cases {
        let told = told(old, new);
        if expected.is_empty() {
            assert_eq!(told, [""; 0], "{old:?} as {new:?}");
        } else {
            assert!(told.iter().any(|problem| problem.contains(expected)), "{old:?} as {new:?} is told as {told:#?}");
        }
    }
}

#[test]
fn messages_and_enums_that_are_gone_are_told() {
    let gone = KEPT.replace("State state = 6;", "").replace("enum State { STATE_UNSPECIFIED = 0; STATE_SENT = 1; STATE_READ = 2; }", "");
    let told = rules::broken(&pool(KEPT), &pool(&gone));
    assert!(told.contains(&"the enum barid.demo.v1.State is gone".to_owned()), "{told:?}");
    let gone = KEPT.replace("message Sent { string id = 1; }", "message Receipt { string id = 1; }").replace("Sent)", "Receipt)");
    let told = rules::broken(&pool(KEPT), &pool(&gone));
    assert!(told.contains(&"the message barid.demo.v1.Sent is gone".to_owned()), "{told:?}");
}

#[test]
fn what_is_added_or_deprecated_breaks_nobody() {
    for (old, new) in [
        ("string text = 2;", "string text = 2; string more = 20;"),
        ("string text = 2;", "string text = 2 [deprecated = true];"),
        ("STATE_READ = 2;", "STATE_READ = 2; STATE_LOST = 3;"),
        ("string sea = 8; }", "string sea = 8; string air = 21; }"),
        ("rpc Follow", "rpc Recall(Letter) returns (Sent);\n  rpc Follow"),
        ("additional_bindings {", "additional_bindings { get: \"/letters:send\" } additional_bindings {"),
        ("[(google.api.field_behavior) = REQUIRED]", ""),
    ] {
        assert_eq!(told(old, new), [""; 0], "{old:?} as {new:?}");
    }
}

#[test]
fn the_protos_keep_what_was_promised() -> Result<()> {
    assert_eq!(problems(&crate::workspace::root())?, [""; 0]);
    Ok(())
}
