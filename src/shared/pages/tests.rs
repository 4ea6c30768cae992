//! Mapping on the caller's word, writers from before, and what the kernel proves.

use super::*;

#[test]
#[cfg(target_os = "linux")]
fn pages_are_counted_where_they_are_touched() {
    let before = pages_touched().expect("Linux tells");
    // Written, not zeroed: zeroed pages are mapped when they are first written. So
    // large that the allocator has no such block left from before.
    let block = vec![1u8; 48 << 20];
    let after = pages_touched().expect("Linux tells");
    assert!(block.iter().all(|byte| *byte == 1));
    let elsewhere = std::thread::spawn(pages_touched).join().unwrap().expect("Linux tells");
    assert!(after > before && elsewhere < after - before, "{before} {after} {elsewhere}");
}

#[test]
#[cfg(target_os = "linux")]
fn cpu_time_grows_with_what_is_computed() {
    let before = cpu_time().expect("Linux tells");
    let wanted = before + Duration::from_millis(5);
    while cpu_time().expect("Linux tells") < wanted {
        std::hint::spin_loop();
    }
    let spent = || thread_cpu_time().expect("Linux tells");
    let before = spent();
    let begun = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(30));
    assert!(spent() - before < begun.elapsed() / 2, "it slept");
    let (before, mut last) = (spent(), spent());
    // To the moment: no step is as large as a tick.
    while last - before < Duration::from_millis(5) {
        let now = spent();
        assert!(now > last, "{last:?} {now:?}");
        last = now;
    }
}

fn written(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("a.plim");
    Shared::<[u32]>::write(&path, &[1, 2, 3]).unwrap();
    path
}

#[test]
#[cfg(unix)]
fn a_writable_file_is_mapped_on_the_callers_word_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    for mode in [0o644, 0o464, 0o446] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        match Shared::<[u32]>::open(&path) {
            Err(Error::SharedFormat {
                problem: FormatProblem::Writable { mode: found }, ..
            }) => {
                assert_eq!(found, mode);
            }
            other => panic!("{other:?}"),
        }
        // SAFETY: The file is this test's own, which does not change it.
        let mapped = unsafe { Shared::<[u32]>::map(&path, Verify::Payload) }.unwrap();
        assert_eq!(*mapped, [1, 2, 3]);
        assert!(mapped.is_mapped());
    }
}

#[test]
fn a_map_on_the_callers_word_that_is_refused_says_what_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    let mut actions = Vec::new();
    let (_, mapped) = crate::fault::each_site(
        // SAFETY: The file is this test's own, which does not change it.
        || unsafe { Shared::<[u32]>::map(&path, Verify::Payload) },
        |_, outcome| match outcome {
            Err(Error::SharedIo { action, .. }) => actions.push(action),
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(*mapped.unwrap(), [1, 2, 3]);
    assert_eq!(actions, ["open", "open", "open", "read", "read", "map", "read"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_writer_from_before_the_seal_is_noticed_and_only_he() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    assert!(!is_being_written(&File::open(&path).unwrap()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let writer = File::options().append(true).open(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
    let error = Shared::<[u32]>::open(&path).unwrap_err();
    assert!(
        matches!(error, Error::SharedFormat { problem: FormatProblem::OpenForWriting, .. }),
        "{error}"
    );
    drop(writer);
    assert_eq!(*Shared::<[u32]>::open(&path).unwrap(), [1, 2, 3]);
}

/// The kernel's word is taken before any look at permissions: a memfd has
/// mode 0777.
#[test]
#[cfg(target_os = "linux")]
fn a_sealed_memfd_is_proven_and_an_unsealed_one_is_not() {
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd};

    let directory = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(written(directory.path())).unwrap();
    // SAFETY: The name is a C string, and the descriptor, if there is one,
    // is new and nobody else's.
    let mut memory = unsafe {
        let descriptor = libc::memfd_create(c"plimsoll".as_ptr(), libc::MFD_ALLOW_SEALING);
        assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
        File::from_raw_fd(descriptor)
    };
    memory.write_all(&bytes).unwrap();
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let error = Shared::<[u32]>::open(&path).unwrap_err();
    assert!(
        matches!(error, Error::SharedFormat { problem: FormatProblem::Writable { .. }, .. }),
        "{error}"
    );
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: The command takes a number and touches no memory of ours.
    assert_eq!(unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    assert_eq!(*Shared::<[u32]>::open(&path).unwrap(), [1, 2, 3]);
}
