//! Every call of the system that an operation makes, refused in turn: each refusal is a
//! typed error that says what failed, nothing is left behind, and the next try succeeds.

#[cfg(target_os = "linux")]
mod files;
#[cfg(not(any(loom, shuttle)))]
mod runs;

use super::{PLANNED, each_site, fallible};

#[test]
fn each_step_fails_once_and_the_last_time_none() {
    let mut done = 0;
    let mut operation = || {
        for _ in 0..3 {
            fallible(|| {
                done += 1;
                Ok(())
            })?;
        }
        Ok::<_, std::io::Error>(7)
    };
    let mut refused = Vec::new();
    let (sites, ended) = each_site(&mut operation, |site, outcome| {
        assert_eq!(outcome.unwrap_err().to_string(), PLANNED);
        refused.push(site);
    });
    assert_eq!((sites, ended.unwrap()), (3, 7));
    assert_eq!(refused, [0, 1, 2]);
    assert_eq!(done, 1 + 2 + 3, "a refused step is not done, and none behind it");
}
