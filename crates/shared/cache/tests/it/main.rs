use barid_cache::{Config, Decision, Limiter, Rate};
use barid_domain::Secret;

const RATE: Rate = Rate { per_minute: 60, burst: 5 };

async fn passed(limiter: &Limiter, key: &str, calls: usize) -> usize {
    let mut passed = 0;
    for _ in 0..calls {
        passed += usize::from(limiter.check(key, RATE).await == Decision::Allowed);
    }
    passed
}

fn limiter(url: &str, local_share: f64) -> Limiter {
    Limiter::new(&Config { url: Secret::new(url), local_share }).expect("a limiter")
}

#[tokio::test]
async fn two_replicas_share_a_limit_and_keys_do_not() -> anyhow::Result<()> {
    let redis = barid_testkit::redis().await?;
    let (one, two) = (limiter(&redis.url(), 1.0), limiter(&redis.url(), 1.0));
    assert_eq!(passed(&one, "a", 3).await + passed(&two, "a", 10).await, 5);
    assert_eq!(passed(&two, "b", 10).await, 5);
    assert!(matches!(one.check("a", RATE).await, Decision::Wait(wait) if wait.as_millis() > 0 && wait.as_millis() <= 1000));
    Ok(())
}

#[tokio::test]
async fn without_redis_a_replica_limits_at_its_share() {
    let alone = limiter("redis://127.0.0.1:1", 0.4);
    assert_eq!(passed(&alone, "a", 10).await, 2);
}
