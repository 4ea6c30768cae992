//! What can be wrong with a file of shared data.

/// What is wrong with a file that was opened as shared data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// The file is shorter than a header.
    #[error(
        "{length} bytes are too few for a header of {header}; the file was cut short, or is \
         another kind of file: copy or write it again"
    )]
    TooShort {
        /// Bytes in the file.
        length: u64,
        /// Bytes in a header.
        header: u64,
    },
    /// The file does not start with the magic bytes.
    #[error(
        "it does not start with the magic bytes of a plimsoll file; it is another kind of file"
    )]
    Magic,
    /// The header's own checksum is wrong.
    #[error(
        "its header is damaged: checksum {found:#018x}, recorded {recorded:#018x}; \
         copy or write it again"
    )]
    HeaderChecksum {
        /// Checksum of the header as found.
        found: u64,
        /// Checksum as recorded.
        recorded: u64,
    },
    /// The file was written by a later or unknown version of the format.
    #[error(
        "its format is version {found}; this build reads version {supported}; write it again by \
         this build"
    )]
    Version {
        /// Version as recorded.
        found: u32,
        /// The version this build reads.
        supported: u32,
    },
    /// The file was written on a machine of the other byte order.
    #[error(
        "its byte order is {found}-endian, that of this machine {native}-endian; write it again \
         on a machine like this one"
    )]
    Endianness {
        /// `"big"`, `"little"` or `"unknown"`.
        found: &'static str,
        /// The byte order of this machine.
        native: &'static str,
    },
    /// The elements have another size, alignment or type than asked for.
    #[error(
        "its elements are of another {what}: {found} is recorded, {expected} asked for; ask for what \
         is recorded, or write the file again"
    )]
    Element {
        /// `"size"`, `"alignment"` or `"type"`; of a map `"key type"`, `"value type"`, ….
        what: &'static str,
        /// As recorded.
        found: String,
        /// As asked for.
        expected: String,
    },
    /// The file does not have as many bytes as its header says.
    #[error(
        "it has {found} bytes, its header says {recorded}; the file {}: copy or write it again",
        what_became(*found, *recorded)
    )]
    Length {
        /// Bytes in the file.
        found: u64,
        /// Bytes as recorded.
        recorded: u64,
    },
    /// The section table's checksum is wrong.
    #[error(
        "its section table is damaged: checksum {found:#018x}, recorded {recorded:#018x}; \
         copy or write it again"
    )]
    TableChecksum {
        /// Checksum of the table as found.
        found: u64,
        /// Checksum as recorded.
        recorded: u64,
    },
    /// The section table is as it was written, and makes no sense.
    #[error("its section table makes no sense: {problem}; write it again")]
    Table {
        /// What makes none.
        problem: &'static str,
    },
    /// The file has no section of this name.
    #[error("it has no section {name:?}; its sections: {sections}{}", by_name(name))]
    NoSection {
        /// The name asked for.
        name: String,
        /// The names there are.
        sections: String,
    },
    /// The section is of another kind.
    #[error("it is {found}, not {expected}; {}", taken_as(found))]
    Kind {
        /// As recorded.
        found: &'static str,
        /// As asked for.
        expected: &'static str,
    },
    /// The parts of a section do not fit together.
    #[error("its parts do not fit together: {problem}; write it again")]
    Structure {
        /// What does not fit.
        problem: &'static str,
    },
    /// An archive is not what it was written as.
    #[error("its archive is not valid: {problem}; write it again")]
    Archive {
        /// What the library that reads it says.
        problem: String,
    },
    /// A problem of one section.
    #[error("section {name:?}: {problem}")]
    Section {
        /// The section.
        name: String,
        /// What is wrong with it.
        problem: Box<FormatProblem>,
    },
    /// The file is not the one that was handed over.
    #[error(
        "it is not the file that was handed over: {what} is {found}, was {expected}; it was \
         replaced meanwhile: hand it over again"
    )]
    AnotherFile {
        /// `"device"`, `"inode"`, `"length"` or `"header checksum"`.
        what: &'static str,
        /// Of the file that is there now.
        found: u64,
        /// Of the file that was handed over.
        expected: u64,
    },
    /// The path leads to something that cannot be mapped.
    #[error("it is a {found}, not a regular file; name the file itself")]
    NotAFile {
        /// `"directory"` or `"special file"`.
        found: &'static str,
    },
    /// The file's permissions let somebody write to it, so it may change while
    /// it is mapped.
    #[error(
        "its permissions ({mode:04o}) let it be changed while it is mapped; take the write \
         permissions away (`chmod a-w`) if nobody changes it in place, or copy it into memory \
         with SharedFile::load"
    )]
    Writable {
        /// The permission bits of the file.
        mode: u32,
    },
    /// A process has the file open for writing, so it may change while it is
    /// mapped.
    #[error("a process has it open for writing; open it again when that process has closed it")]
    OpenForWriting,
    /// A section's checksum is wrong.
    #[error(
        "its data is damaged: checksum {found:#018x}, recorded {recorded:#018x}; \
         copy or write it again"
    )]
    PayloadChecksum {
        /// Checksum of the data as found.
        found: u64,
        /// Checksum as recorded.
        recorded: u64,
    },
}

fn what_became(found: u64, recorded: u64) -> &'static str {
    match found < recorded {
        true => "was cut short",
        false => "has grown",
    }
}

/// What to do with a section of the kind that is recorded, as it is told.
fn taken_as(found: &str) -> &'static str {
    match found {
        "a slice" => "take it as a `Shared<[_]>`",
        "a list of bytes" => "take it as `SharedBytes`",
        "a list of texts" => "take it as `SharedStrs`",
        "a map" => "take it as a `SharedMap<_, _>`",
        "an archive" => "take it as a `SharedArchive<_>`, with the feature `rkyv`",
        "a map of an earlier build" => "write it again by this build",
        _ => "read it by the build that wrote it, or write it again by this one",
    }
}

/// What to do where a file of one section was expected.
fn by_name(section: &str) -> &'static str {
    match section {
        "data" => "; take them by name, with SharedFile::open",
        _ => "",
    }
}
