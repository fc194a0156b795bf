//! Times of many repetitions.

use std::time::{Duration, Instant};

use crate::Failure;

/// Does something many times, and tells how long it takes as a rule and in the worst of twenty cases.
pub async fn tell<T, F>(what: &str, times: usize, mut work: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut took = Vec::with_capacity(times);
    for _ in 0..times.max(1) {
        let began = Instant::now();
        let done = work().await?;
        took.push(began.elapsed());
        drop(done);
    }
    took.sort();
    let (median, slow) = (took[took.len() / 2], took[took.len() * 19 / 20]);
    println!("{what:<44} median {:>9}, 95 % within {:>9}", text(median), text(slow));
    Ok(())
}

fn text(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// The middle one of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
