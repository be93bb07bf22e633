//! GitHub for tests: a real repository behind its two interfaces, in a process of its own. `CHAINLOCK_TEST_GITHUB` names
//! the script that serves it (`__test__/helpers/github/serve.js`), and a test starts one with what it needs.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{needs_server, on_a_runtime};
use crate::lease::address::{Address, Secret, Setup};
use crate::lease::http::{Client, Method, Request};

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub told: Value,
    client: Client,
}

impl Drop for Server {
    /// Killed, it would leave its repository behind.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

impl Server {
    fn start(options: &Value) -> Option<Server> {
        let script = needs_server("CHAINLOCK_TEST_GITHUB")?;
        // It ends with its standard input, which the child keeps.
        let mut child = Command::new("node")
            .args([&script, "--options", &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = serde_json::from_str(&line).expect("what it serves");
        Some(Server { child, told, client: Client::new(&some_setup()).unwrap() })
    }

    pub fn setup(&self) -> Setup {
        let (owner, repo) = self.told["repo"].as_str().unwrap().split_once('/').unwrap();
        Setup {
            address: Address::Github { owner: owner.into(), repo: repo.into() },
            token: Some(Secret::new(self.told["token"].as_str().unwrap().into())),
            api_url: Some(self.told["apiUrl"].as_str().unwrap().into()),
            ..some_setup()
        }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_test/{path}", self.told["url"].as_str().unwrap());
        let body = (!body.is_null()).then(|| body.to_string().into());
        let timeout = Duration::from_secs(30);
        let request = Request { method, url, headers: Vec::new(), body, timeout };
        let answer = self.client.send(request).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub async fn fault(&self, kind: &str, operation: &str) {
        let next = json!({ "kind": kind, "matcher": { "operation": operation }, "ms": 400, "seconds": 5 });
        self.ask(Method::POST, "faults", json!({ "next": [next] })).await;
    }

    pub async fn git(&self, args: &[&str]) -> String {
        let answer = self.ask(Method::POST, "git", json!({ "args": args })).await;
        answer["stdout"].as_str().unwrap_or_else(|| panic!("{answer}")).trim().to_owned()
    }

    pub async fn log(&self) -> Vec<Value> {
        self.ask(Method::GET, "idle", Value::Null).await;
        self.ask(Method::GET, "log", Value::Null).await.as_array().unwrap().clone()
    }

    /// How many requests something takes, and how many of them write.
    pub async fn cost(&self, work: impl Future<Output = ()>) -> (usize, usize) {
        let before = self.log().await.len();
        work.await;
        let log = self.log().await;
        let is_write = |line: &&Value| {
            line["method"] != "GET"
                && line["operation"].as_str().is_none_or(|name| !name.contains("repository"))
        };
        (log.len() - before, log[before..].iter().filter(is_write).count())
    }

    /// That nothing was asked or answered as GitHub would not.
    pub async fn was_right(&self) {
        let violations = self.ask(Method::GET, "violations", Value::Null).await;
        assert_eq!(violations, json!([]));
    }
}

pub fn some_setup() -> Setup {
    Setup {
        address: Address::Github { owner: "octo".into(), repo: "locks".into() },
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(15),
        token: Some(Secret::new("hidden".into())),
        api_url: None,
        show_on_issue: true,
    }
}

/// Runs a test with a server of its own, if there can be one, and looks whether both spoke as GitHub describes it.
pub fn with_server(options: Value, test: impl AsyncFnOnce(&Server)) {
    if let Some(server) = Server::start(&options) {
        on_a_runtime(async {
            test(&server).await;
            server.was_right().await;
        });
    }
}
