//! Which cgroups this process is in, and where their hierarchies are mounted:
//! the text of `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::io;

/// The two designs of cgroups; a hybrid machine has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A cgroup of this process that may limit its memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) version: Version,
    /// As seen from the root of the process's cgroup namespace.
    pub(super) path: String,
}

/// A mounted hierarchy that may hold memory limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) version: Version,
    /// The cgroup that is seen at the mount point; not `/` where only a branch
    /// of the hierarchy was mounted, as containers do.
    pub(super) root: String,
    /// Absolute path of the mount point.
    pub(super) point: String,
}

/// Reads `/proc/self/cgroup`: lines of `id:controllers:path`.
pub(super) fn memberships(text: &str) -> io::Result<Vec<Membership>> {
    let mut found = Vec::new();
    for line in text.lines() {
        // The path is last because it may contain colons.
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(malformed(line));
        };
        let version = match (id, controllers) {
            ("0", "") => Version::V2,
            _ if controllers.split(',').any(|name| name == "memory") => Version::V1,
            _ => continue,
        };
        found.push(Membership { version, path: path.to_owned() });
    }
    Ok(found)
}

/// Reads `/proc/self/mountinfo` and keeps the hierarchies that may hold memory
/// limits. Of several mounts at one point the last covers the others.
pub(super) fn mounts(text: &str) -> io::Result<Vec<Mount>> {
    let mut seen: Vec<(String, Option<Mount>)> = Vec::new();
    for line in text.lines() {
        // id parent device root point options [optional…] - type source options
        let (place, kind) = line.split_once(" - ").ok_or_else(|| malformed(line))?;
        let place: Vec<&str> = place.split(' ').collect();
        let kind: Vec<&str> = kind.split(' ').collect();
        let (&[_, _, _, root, point, ..], &[file_system, _, ref options @ ..]) =
            (place.as_slice(), kind.as_slice())
        else {
            return Err(malformed(line));
        };
        let (root, point) = (unescape(root), unescape(point));
        let mut options = options.iter().flat_map(|options| options.split(','));
        let version = match file_system {
            "cgroup2" => Some(Version::V2),
            "cgroup" if options.any(|name| name == "memory") => Some(Version::V1),
            _ => None,
        };
        let mount = version.map(|version| Mount { version, root, point: point.clone() });
        seen.retain(|(covered, _)| *covered != point);
        seen.push((point, mount));
    }
    Ok(seen.into_iter().filter_map(|(_, mount)| mount).collect())
}

/// Undoes the kernel's escapes of space, tab, newline and backslash (`\040`).
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        let taken = match code {
            Some(code) => {
                plain.push(char::from(code));
                4
            }
            None => {
                plain.push('\\');
                1
            }
        };
        rest = &rest[at + taken..];
    }
    plain + rest
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the line {line:?} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_are_those_that_may_limit_memory() {
        let text = "9:name=systemd:/\n4:cpu,memory:/a:b/c\n3:cpuset:/\n0::/d\n";
        let expected = [(Version::V1, "/a:b/c"), (Version::V2, "/d")]
            .map(|(version, path)| Membership { version, path: path.to_owned() });
        assert_eq!(memberships(text).unwrap(), expected);
        assert!(memberships("").unwrap().is_empty());
        let error = memberships("0::/\nnonsense\n").unwrap_err();
        assert!(error.to_string().contains("nonsense"), "{error}");
    }

    #[test]
    fn mounts_are_read_with_root_point_and_escapes() {
        let text = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 /docker/a\\040b /sys/fs/cgroup/memory rw master:9 shared:2 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
37 31 0:34 / /mnt/my\\040groups\\134x rw - cgroup2 cgroup2 rw,nsdelegate
38 31 0:35 / /mnt/nothing rw - autofs none
";
        let expected = [
            (Version::V1, "/docker/a b", "/sys/fs/cgroup/memory"),
            (Version::V2, "/", "/mnt/my groups\\x"),
        ]
        .map(|(version, root, point)| Mount {
            version,
            root: root.to_owned(),
            point: point.to_owned(),
        });
        assert_eq!(mounts(text).unwrap(), expected);
        for bad in ["1 2 0:1 / /x rw", "1 2 - cgroup2 cgroup2 rw", "1 2 0:1 / /x rw - cgroup2"] {
            assert!(mounts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mount_covers_an_earlier_one_at_the_same_point() {
        let lower = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let upper = "2 1 0:1 /inner /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        let found = mounts(&format!("{lower}{upper}")).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].root, "/inner");
        let hidden = "2 1 0:9 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n";
        assert!(mounts(&format!("{lower}{hidden}")).unwrap().is_empty());
    }

    #[test]
    fn odd_escapes_are_left_as_they_are() {
        for (text, plain) in
            [("\\", "\\"), ("a\\09", "a\\09"), ("\\777", "\\777"), ("é\\040é", "é é")]
        {
            assert_eq!(unescape(text), plain);
        }
    }
}
