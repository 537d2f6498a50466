//! Members that sources tell of: gathered, seated, drained.

use super::*;
use crate::config::model::{Discover, EndpointSpec, Pool, Source};
use crate::upstream::discovery::Lookup;
use parking_lot::Mutex;
use std::net::SocketAddr;

fn names(hosts: &[&str]) -> Pool {
    let spec = |host: &&str| ServerSpec {
        endpoint: EndpointSpec::Tcp { host: (*host).into(), port: 9000 },
        ..spec(([127, 0, 0, 1], 9000).into())
    };
    pool(hosts.iter().map(spec).collect())
}

/// Every name leads to what the table says.
fn lookup(table: &Arc<Mutex<Vec<SocketAddr>>>) -> Lookup {
    let table = Arc::clone(table);
    Arc::new(move |_| {
        let found = table.lock().clone();
        Box::pin(async move { Ok(found) })
    })
}

/// Events of the file system take real time.
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "never came true: {what}");
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.status().members.iter().map(|member| member.address.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_for_a_moment_only_was_never_gone() {
    let table = Arc::<Mutex<Vec<SocketAddr>>>::default();
    let [one, two] = ["10.0.0.1:9000", "10.0.0.2:9000"].map(|address| address.parse().unwrap());
    let mut pool = names(&["fpm"]);
    pool.resolve = Duration::from_millis(100);
    *table.lock() = vec![one, two];
    let cluster = Cluster::with_lookup(&pool, &super::super::Buffers::default(), None, lookup(&table));
    let rest = |time| tokio::time::sleep(Duration::from_millis(time));
    rest(10).await;
    let before: Vec<_> = cluster.members().collect();
    *table.lock() = vec![one];
    rest(150).await;
    *table.lock() = vec![one, two];
    rest(1000).await;
    let after: Vec<_> = cluster.members().collect();
    assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
    *table.lock() = vec![one];
    rest(1000).await;
    assert_eq!(addresses(&cluster), ["10.0.0.1:9000"]);
}

#[tokio::test]
async fn a_file_that_is_replaced_changes_the_members_and_one_with_a_mistake_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.json");
    let replace = |text: &str| {
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
    };
    replace(r#"["10.0.0.1:9000"]"#);
    let mut pool = pool(vec![]);
    let terms = spec(([127, 0, 0, 1], 9000).into()).terms();
    pool.discover = vec![Discover { source: Source::File(path.clone()), terms }];
    let cluster = Cluster::new(&pool, &super::super::Buffers::default(), None);
    soon("the file is read", || addresses(&cluster) == ["10.0.0.1:9000"]).await;
    replace(r#"{"servers": [{"address": "10.0.0.2:9000", "weight": 5}]}"#);
    soon("the new file is read", || addresses(&cluster) == ["10.0.0.2:9000"]).await;
    assert_eq!(cluster.status().members[0].weight, 5);
    replace(r#"["10.0.0.3:9000""#);
    soon("the mistake is seen", || cluster.sources()[0].trouble.is_some()).await;
    let trouble = cluster.sources()[0].trouble.clone().unwrap();
    assert!(trouble.ends_with("members.json:1:16: EOF while parsing a list"), "{trouble}");
    assert_eq!(addresses(&cluster), ["10.0.0.2:9000"]);
    replace(r#"["10.0.0.3:9000"]"#);
    soon("it is mended", || addresses(&cluster) == ["10.0.0.3:9000"]).await;
    assert_eq!(cluster.sources()[0].trouble, None);
}
