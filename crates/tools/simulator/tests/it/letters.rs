//! E-mail and SMS.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::support::{Simulator, swift};

/// Says lines to the mail server; gives back the status of each answer.
async fn talk(address: &str, lines: &[&str]) -> Vec<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut answers = Vec::new();
    for line in std::iter::once(&"").chain(lines) {
        if !line.is_empty() {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        answers.push(answer[..3].to_owned());
    }
    answers
}

#[tokio::test]
async fn letters_are_taken_as_they_come_or_refused() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let simulator = Simulator::with(barid_simulator::Config { listen_smtp: address.clone(), ..swift() }).await;
    let letter = "Message-ID: <1@example.com>\r\nSubject: Hello\r\n\r\n..dotted\r\n.";
    let lines = ["EHLO me", "DATA", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA", letter, "VRFY b", "QUIT"];
    assert_eq!(talk(&address, &lines).await, ["220", "250", "503", "250", "250", "354", "250", "502", "221"]);
    let letters = simulator.ok("GET", "/sim/mail", Value::Null).await;
    let expected = json!({"from": "a@example.com", "to": ["b@example.com"], "subject": "Hello", "message_id": "<1@example.com>",
        "raw": "Message-ID: <1@example.com>\nSubject: Hello\n\n.dotted\n"});
    assert_eq!(letters["letters"], json!([expected]));

    simulator.ok("PUT", "/sim/mail", json!({"status": 451, "times": 1})).await;
    let lines = ["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "RCPT TO:<b@example.com>"];
    assert_eq!(talk(&address, &lines).await[1..], ["250", "451", "250"]);
    simulator.ok("POST", "/sim/reset", Value::Null).await;
    assert_eq!(simulator.ok("GET", "/sim/mail", Value::Null).await["letters"], json!([]));
    simulator.end().await;
}

#[tokio::test]
async fn an_sms_is_taken_once_for_each_key() {
    let simulator = Simulator::start().await;
    let send = async |key: &str| {
        let request = simulator.http.post(format!("{}/sms/messages", simulator.url)).header("Idempotency-Key", key);
        let answer = request.json(&json!({"to": "+201", "text": "hello", "reference": key})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (first, again, other) = (send("a").await, send("a").await, send("b").await);
    assert!(first == again && first.0 == 202 && first != other, "{first:?} {again:?} {other:?}");
    simulator.ok("PUT", "/sim/sms", json!({"status": 503, "times": 1})).await;
    assert_eq!((send("c").await.0, send("c").await.0), (503, 202));
    simulator.ok("PUT", "/sim/sms", json!({"status": 500, "times": 1, "taken": true})).await;
    assert_eq!(send("d").await.0, 500);
    let sent = simulator.ok("GET", "/sim/sms", Value::Null).await;
    let references: Vec<&str> = sent["messages"].as_array().unwrap().iter().filter_map(|sms| sms["reference"].as_str()).collect();
    assert_eq!(references, ["a", "b", "c", "d"]);
    let page = simulator.http.get(format!("{}/letters", simulator.url)).send().await.unwrap();
    assert!(page.status().is_success() && page.text().await.unwrap().contains("/sim/sms"));
}
