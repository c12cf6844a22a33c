//! The upper limit for a client: search, then PATCH, for each line, with no plan, no ledger and no report.

use crate::process::account;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const TASKS: u32 = 64;

pub(crate) fn run(base: &str, lines: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let next = Arc::new(AtomicU32::new(0));
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..TASKS {
            let (client, base, next) = (client.clone(), base.to_owned(), Arc::clone(&next));
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= lines {
                        return;
                    }
                    move_one(&client, &base, n).await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

async fn move_one(client: &reqwest::Client, base: &str, n: u32) {
    let url = format!(
        "{base}/api/Partners/customers/search/{}?field=accountId&exactMatch=true",
        account(n)
    );
    let answer = client.get(url).bearer_auth("x").send().await.unwrap();
    let bytes = answer.bytes().await.unwrap();
    let found: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let id = found[0]["id"].as_str().unwrap();
    let patch = client
        .patch(format!("{base}/api/Customers/{id}"))
        .bearer_auth("x")
        .header("content-type", "application/json")
        .body(format!("{{\"accountId\":\"B-{n:08}\"}}"));
    let answer = patch.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let bytes = answer.bytes().await.unwrap();
    let changed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(changed["id"].as_str(), Some(id));
}
