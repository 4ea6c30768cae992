//! The `PLIMSOLL_*` variables of an environment, all of them understood or none.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::size::{self, Amount};
use super::{Override, Overrides};
use crate::error::Error;

const PREFIX: &str = "PLIMSOLL_";
const WORKERS: &str = "WORKERS_";
const FOOTPRINT: &str = "FOOTPRINT_";
const KNOWN: &str = "PLIMSOLL_MEMORY, PLIMSOLL_CORES, PLIMSOLL_WORKERS_<STAGE> and \
    PLIMSOLL_FOOTPRINT_<STAGE>, where <STAGE> is the stage's name in upper case with _ for \
    everything but A-Z and 0-9";

/// What the environment asks for.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) memory: Option<Override<Amount<u64>>>,
    pub(super) cores: Option<Override<Amount<usize>>>,
    pub(super) workers: Overrides<usize>,
    pub(super) footprints: Overrides<u64>,
}

impl Settings {
    /// Reads every variable whose name starts with `PLIMSOLL_`; others are not ours.
    pub(super) fn read(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let mut settings = Self::default();
        // Sorted, so that of several mistakes the same one is always told first.
        let mut ours = BTreeMap::new();
        for (name, value) in vars {
            let variable = name.to_string_lossy().into_owned();
            if !variable.starts_with(PREFIX) {
                continue;
            }
            if ours.insert(variable.clone(), value.clone()).is_some() {
                let problem = "is set twice".to_owned();
                return Err(refusal(&variable, value.to_string_lossy(), problem, KNOWN));
            }
        }
        for (variable, value) in ours {
            match value.into_string() {
                Ok(value) => settings.apply(&variable, &value)?,
                Err(value) => {
                    let problem = "is not valid Unicode".to_owned();
                    return Err(refusal(&variable, value.to_string_lossy(), problem, KNOWN));
                }
            }
        }
        Ok(settings)
    }

    fn apply(&mut self, variable: &str, value: &str) -> Result<(), Error> {
        match &variable[PREFIX.len()..] {
            "MEMORY" => {
                let memory = understood(variable, value, size::memory, size::MEMORY)?;
                self.memory = Some(memory);
            }
            "CORES" => {
                let cores = understood(variable, value, size::cores, size::CORES)?;
                self.cores = Some(cores);
            }
            rest => {
                if let Some(stage) = rest.strip_prefix(WORKERS).filter(|name| is_stage(name)) {
                    let workers = understood(variable, value, size::count, size::WORKERS)?;
                    self.workers.insert(stage.to_owned(), workers);
                } else if let Some(stage) =
                    rest.strip_prefix(FOOTPRINT).filter(|name| is_stage(name))
                {
                    let footprint = understood(variable, value, size::bytes, size::FOOTPRINT)?;
                    self.footprints.insert(stage.to_owned(), footprint);
                } else {
                    let problem = "there is no such variable".to_owned();
                    return Err(refusal(variable, value, problem, KNOWN));
                }
            }
        }
        Ok(())
    }
}

/// Whether a stage can be named so: [`crate::units::stage_variable`] would leave it as it is.
fn is_stage(name: &str) -> bool {
    !name.is_empty() && crate::units::stage_variable(name) == name
}

fn understood<T>(
    variable: &str,
    value: &str,
    grammar: fn(&str) -> Result<T, String>,
    accepted: &'static str,
) -> Result<Override<T>, Error> {
    match grammar(value) {
        Ok(amount) => Ok(Override { value: amount, origin: format!("{variable}={value}") }),
        Err(problem) => Err(refusal(variable, value, problem, accepted)),
    }
}

fn refusal(
    variable: &str,
    value: impl Into<String>,
    problem: String,
    accepted: &'static str,
) -> Error {
    Error::Variable { variable: variable.to_owned(), value: value.into(), problem, accepted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::read(vars.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn every_variable_is_read_and_remembers_itself() {
        let settings = read(&[
            ("PATH", "/bin"),
            ("PLIMSOLL", "not ours"),
            ("plimsoll_memory", "not ours"),
            ("PLIMSOLL_MEMORY", "8GiB"),
            ("PLIMSOLL_CORES", "auto"),
            ("PLIMSOLL_WORKERS_SCREEN_2", "3"),
            ("PLIMSOLL_FOOTPRINT__", "0"),
        ])
        .unwrap();
        let memory = settings.memory.unwrap();
        assert_eq!(
            (memory.value, &*memory.origin),
            (Amount::Exactly(8 << 30), "PLIMSOLL_MEMORY=8GiB")
        );
        assert_eq!(settings.cores.unwrap().value, Amount::Auto);
        assert_eq!(settings.workers["SCREEN_2"].value, 3);
        assert_eq!(settings.footprints["_"].origin, "PLIMSOLL_FOOTPRINT__=0");
    }

    #[test]
    fn a_mistake_shows_variable_value_problem_and_what_is_accepted() {
        for (variable, value, expected) in [
            ("PLIMSOLL_MEMORY", "", "PLIMSOLL_MEMORY=\"\": is empty; accepted: auto, a share"),
            (
                "PLIMSOLL_CORES",
                "x",
                "PLIMSOLL_CORES=\"x\": does not start with a digit; accepted: auto",
            ),
            ("PLIMSOLL_WORKERS_A", "0", "is zero; accepted: a number of workers (4)"),
            ("PLIMSOLL_WORKERS_A", "50%", "has \"%\" after the number"),
            ("PLIMSOLL_FOOTPRINT_A", "5%", "\"%\" is not a unit; accepted: a number of bytes"),
            ("PLIMSOLL_FOOTPRINT_A", "auto", "does not start with a digit"),
            ("PLIMSOLL_FOOTPRINT_A", "", "is empty"),
            ("PLIMSOLL_MEMROY", "8GiB", "there is no such variable; accepted: PLIMSOLL_MEMORY, "),
            ("PLIMSOLL_", "8GiB", "no such variable"),
            ("PLIMSOLL_WORKERS_", "4", "no such variable"),
            ("PLIMSOLL_WORKERS", "4", "no such variable"),
            ("PLIMSOLL_WORKERS_screen", "4", "no such variable"),
            ("PLIMSOLL_FOOTPRINT_A-B", "4", "no such variable"),
        ] {
            let error = read(&[(variable, value)]).expect_err(variable).to_string();
            assert!(error.contains(expected), "{variable}={value}: {error}");
        }
    }

    #[test]
    fn a_variable_that_is_set_twice_is_refused() {
        let error = read(&[("PLIMSOLL_CORES", "1"), ("PLIMSOLL_CORES", "2")]).unwrap_err();
        assert!(error.to_string().contains("set twice"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;

        let broken = |text: &str| OsString::from_vec([text.as_bytes(), b"\xff"].concat());
        let value = ("PLIMSOLL_MEMORY".into(), broken("8GiB"));
        let error = Settings::read([value].into_iter()).unwrap_err().to_string();
        assert!(error.contains("8GiB\u{fffd}") && error.contains("not valid Unicode"), "{error}");
        let name = (broken("PLIMSOLL_"), "1".into());
        assert!(Settings::read([name].into_iter()).is_err());
        let other = (broken("PATH"), broken("x"));
        assert!(Settings::read([other].into_iter()).is_ok());
    }
}
