//! Writes what clients send when they mean well: `seeds FOLDER` makes `FOLDER/<target>/seed-<number>`. It links the fuzzer, since
//! what it calls is instrumented, but fuzzes nothing.
#![no_main]

use std::path::PathBuf;

fn write() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "corpus".to_owned()));
    for (number, (target, bytes)) in flightsql_server::untrusted::seeds().into_iter().enumerate() {
        std::fs::create_dir_all(folder.join(target))?;
        std::fs::write(folder.join(target).join(format!("seed-{number}")), bytes)?;
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(
    init: match write() {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("error: the seeds cannot be written: {error}");
            std::process::exit(1);
        }
    },
    |_bytes: &[u8]| {}
);
