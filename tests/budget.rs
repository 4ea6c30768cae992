//! The budget of a real process: its environment, its machine, its cgroup.
//!
//! A process's variables and cgroup are set from outside, so each test runs this
//! very binary again as a child that prints what it detects.

use std::process::{Command, Output};

use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};

/// Set for a child; not one of the crate's own variables, which are all checked.
const CHILD: &str = "BUDGET_TEST_CHILD";

/// Not a test of its own: what the children of the others run.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    match Budget::from_env() {
        Ok(budget) => {
            println!(
                "[limit {:?}] [memory {}] [cores {}]\n{budget}",
                budget.limit(),
                budget.memory(),
                budget.cores()
            );
            println!("{}", advised(&budget).join("\n"));
        }
        Err(error) => println!("[error {error}]"),
    }
}

/// What is advised where a stage does not fit `budget`, and where an item does not.
fn advised(budget: &Budget) -> [String; 2] {
    let memory = budget.memory();
    let stage = |footprint| Pipeline::new(Stage::memory("screen", footprint).map(|n: u64| n));
    let refused =
        stage(Footprint::per_worker(2 * memory)).plan(budget).expect_err("it is too much");
    let pipeline = stage(Footprint::per_item(move |_| memory / 2 + MIB)).build(budget);
    let failed = pipeline.expect("it fits").run([0], drop).expect_err("half is for the oldest");
    [refused.to_string(), failed.to_string()]
}

/// Runs `child` with the given variables as the only ones of this crate.
fn run(command: &mut Command, vars: &[(&str, &str)]) -> String {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLIMSOLL_") {
            command.env_remove(name);
        }
    }
    command.args(["child", "--exact", "--nocapture"]).env(CHILD, "1").envs(vars.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("a child starts");
    let stdout = String::from_utf8(stdout).expect("a child prints text");
    assert!(status.success(), "{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}

fn this_binary() -> Command {
    Command::new(std::env::current_exe().expect("a test knows its own file"))
}

#[test]
fn this_machine_is_detected() {
    let told = run(&mut this_binary(), &[]);
    assert!(told.contains("[limit Some("), "{told}");
    let cores = std::thread::available_parallelism().expect("cores are known").get();
    assert!(told.contains(&format!("cores: {cores} (available_parallelism)")), "{told}");
    assert!(told.contains("(80 % of "), "{told}");
    assert_eq!(told.contains("headroom when read: "), cfg!(target_os = "linux"), "{told}");
}

#[test]
fn the_environment_of_the_process_is_read() {
    let vars = [("PLIMSOLL_MEMORY", "64MiB"), ("PLIMSOLL_CORES", "3"), ("PLIMSOLL_WORKERS_A", "2")];
    let told = run(&mut this_binary(), &vars);
    assert!(told.contains("[memory 67108864] [cores 3]"), "{told}");
    assert!(told.contains("memory: 64.0 MiB (PLIMSOLL_MEMORY=64MiB)"), "{told}");
    assert!(told.contains("workers of A: 2 (PLIMSOLL_WORKERS_A=2)"), "{told}");
    // 8 bytes are the item itself.
    let [stage, item] = ["PLIMSOLL_MEMORY=129MiB", "PLIMSOLL_MEMORY=67MiB"];
    assert!(told.contains(&format!("; raise the budget ({stage} would do) or lower")), "{told}");
    let way = format!("; declare `largest_item(34 * MIB)` or more, raise the budget ({item} would");
    assert!(told.contains(&way), "{told}");
    let [stage, item] = advised(&Budget::new(64 * MIB, 3));
    assert!(stage.contains("raise the budget (`129 * MIB` would do) or lower"), "{stage}");
    assert!(item.contains("raise the budget (`67 * MIB` would do without it)"), "{item}");
    let told = run(&mut this_binary(), &[("PLIMSOLL_MEMROY", "64MiB")]);
    assert!(told.contains("[error PLIMSOLL_MEMROY=\"64MiB\": there is no such variable"), "{told}");
}

#[test]
fn an_explicit_budget_reads_nothing() {
    let budget = Budget::new(0, 0);
    assert_eq!((budget.memory(), budget.cores(), budget.limit()), (0, 0, None));
}

/// Needs leave to make a memory cgroup; says so and passes where there is none.
#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_a_nested_cgroup_is_seen_from_inside() {
    let (outer, inner) = match linux::nested_cgroup(256 * MIB) {
        Ok(groups) => groups,
        Err(reason) => {
            eprintln!("SKIPPED: no memory cgroup can be made here: {reason}");
            return;
        }
    };
    // The shell moves itself, then becomes the child: no moment outside.
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ > \"$0\"/cgroup.procs || { echo '[outside]'; exit 0; }; exec \"$@\""])
        .arg(&inner.0);
    command.arg(std::env::current_exe().expect("a test knows its own file"));
    let told = run(&mut command, &[("PLIMSOLL_MEMORY", "50%")]);
    if told.contains("[outside]") {
        eprintln!("SKIPPED: no process may enter a memory cgroup here");
        return;
    }
    let name = outer.0.file_name().expect("it was named").to_string_lossy();
    assert!(told.contains(&format!("[limit Some({})]", 256 * MIB)), "{told}");
    assert!(told.contains(&format!("[memory {}]", 128 * MIB)), "{told}");
    assert!(told.contains("256.0 MiB, memory.") && told.contains(&*name), "{told}");
    assert!(!told.contains("is not seen below"), "{told}");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};
    use std::{fs, io, process};

    /// A cgroup that is removed when dropped.
    pub(super) struct Group(pub(super) PathBuf);

    impl Group {
        fn create(path: PathBuf) -> io::Result<Self> {
            fs::create_dir(&path)?;
            Ok(Self(path))
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            // Removable once its last process has been waited for.
            if let Err(error) = fs::remove_dir(&self.0) {
                eprintln!("{} is left behind: {error}", self.0.display());
            }
        }
    }

    /// Makes a cgroup with a limit, and in it an unlimited one, next to this
    /// process's own.
    pub(super) fn nested_cgroup(limit: u64) -> io::Result<(Group, Group)> {
        let text = fs::read_to_string("/proc/self/cgroup")?;
        let own = |start: &str| {
            let line = text.lines().find(|line| line.contains(start))?;
            line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
        };
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (parent, file) = match own(":memory:") {
            Some(path) if v1.is_dir() => (v1.join(path), "memory.limit_in_bytes"),
            _ => {
                let path = own("0::").ok_or(io::ErrorKind::NotFound)?;
                // A v2 group with processes in it cannot hand controllers down,
                // so the new one goes beside it.
                let own = Path::new("/sys/fs/cgroup").join(path);
                (own.parent().unwrap_or(&own).to_owned(), "memory.max")
            }
        };
        let outer = Group::create(parent.join(format!("plimsoll-test-{}", process::id())))?;
        fs::write(outer.0.join(file), limit.to_string())?;
        let inner = Group::create(outer.0.join("inner"))?;
        Ok((outer, inner))
    }
}
