//! What is no backup, or can't be put back, changes nothing.

use super::*;

/// A directory as it is, to be compared afterwards.
fn unchanged(
    vhost: &Vhost,
    output: &CtlOutput,
    said: &str,
    before: &BTreeMap<PathBuf, (u32, Vec<u8>)>,
) {
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains(said), "no `{said}` in {output:?}");
    let now = files(&vhost.state_dir());
    let names =
        |files: &BTreeMap<PathBuf, (u32, Vec<u8>)>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(before), "{said}");
    assert!(now == *before, "{said}: a file has changed");
}

/// A server that has ended, its config, and a backup of it.
fn stopped() -> (Vhost, PathBuf, PathBuf) {
    let mut vhost = server(&backends());
    let (config, path) = (vhost.config_file(), backed_up(&vhost));
    vhost.ctl_ok(&["switch", HOST, "a", "--force"]);
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    (vhost, config, path)
}

#[test]
fn no_backup_is_put_back_beside_a_server_and_none_replaces_a_file() {
    let backends = backends();
    let vhost = server(&backends);
    let (config, path) = (vhost.config_file(), backed_up(&vhost));
    let restored = state(&["restore", text(&path), "--config", text(&config)]);
    assert_eq!(restored.code, 1, "{restored:?}");
    assert!(restored.stderr.contains("a server runs with this state"), "{restored:?}");
    let state_dir = vhost.state_dir();
    let restored = state(&["restore", text(&path), "--state-dir", text(&state_dir)]);
    assert_eq!(restored.code, 1, "{restored:?}");
    assert!(restored.stderr.contains("another server uses"), "{restored:?}");
    let kept = std::fs::read(&path).unwrap();
    let again = state(&["backup", "--config", text(&config), "--output", text(&path)]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("exists already"), "{again:?}");
    assert!(std::fs::read(&path).unwrap() == kept, "the file is as it was");
    assert_eq!(vhost.live(HOST), "b");
    assert_eq!(vhost.get(HOST, "/").backend(), Some("b1"));
    let no_config = state(&["check", "--config", "/no/such/file"]);
    assert_eq!(no_config.code, 2, "{no_config:?}");
    assert!(no_config.stderr.contains("--state-dir"), "{no_config:?}");
}

#[test]
fn a_damaged_backup_changes_nothing_wherever_it_is_cut_or_flipped() {
    let (vhost, config, path) = stopped();
    let whole = std::fs::read(&path).unwrap();
    let before = files(&vhost.state_dir());
    let restore = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        state(&["restore", text(&path), "--config", text(&config)])
    };
    for cut in [0, 1, 511, 512, 1024, 5000, whole.len() / 2, whole.len() - 1024 - 512] {
        let output = restore(&whole[..cut]);
        let said = if cut < 512 { "it is no backup" } else { "the backup is damaged" };
        unchanged(&vhost, &output, said, &before);
    }
    // In each file, and in the heads between them: anywhere but in the padding.
    let mut flips: Vec<usize> = vec![10, 600, 530];
    let text_of_sums = b"  state/state.db\n";
    let sums = whole.windows(text_of_sums.len()).rposition(|of| of == text_of_sums).unwrap();
    flips.extend([sums, sums - 10]);
    let database = whole.windows(16).position(|of| of == b"SQLite format 3\0").unwrap();
    flips.extend((0..20).map(|_| database + fastrand::usize(..8000)));
    let root = whole.windows(27).rposition(|of| of == b"-----BEGIN CERTIFICATE-----").unwrap();
    flips.push(root + 200);
    for place in flips {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << fastrand::u8(..8);
        let output = restore(&flipped);
        unchanged(&vhost, &output, "error: ", &before);
        let checked = state(&["check", text(&path)]);
        assert_eq!(checked.code, 1, "at {place}: {checked:?}");
    }
}

#[test]
fn a_foreign_archive_and_one_that_leads_out_change_nothing() {
    let (vhost, config, path) = stopped();
    let before = files(&vhost.state_dir());
    let restore = || state(&["restore", text(&path), "--config", text(&config)]);
    std::fs::write(&path, "no archive at all, and longer than a block".repeat(100)).unwrap();
    unchanged(&vhost, &restore(), "it is no backup of vhost", &before);
    let outside = vhost.directory().join("outside");
    let manifest = json!({
        "format": 1, "version": "0.1.0", "schema": 3, "revision": 1, "made_ms": 1, "files": 1,
    });
    for name in [
        "../outside",
        "state/../../outside",
        "state/ca/../../../outside",
        text(&outside),
        "state/lock",
        "certs/x/../../outside",
    ] {
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        append(
            &mut archive,
            "manifest.json",
            tar::EntryType::Regular,
            manifest.to_string().as_bytes(),
        );
        append(&mut archive, name, tar::EntryType::Regular, b"text");
        archive.finish().unwrap();
        unchanged(&vhost, &restore(), "it is no backup of vhost: it holds `", &before);
        assert!(!outside.exists(), "{name}");
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::Fifo,
    ] {
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        append(
            &mut archive,
            "manifest.json",
            tar::EntryType::Regular,
            manifest.to_string().as_bytes(),
        );
        append(&mut archive, "state/sticky.key", kind, b"");
        archive.finish().unwrap();
        unchanged(&vhost, &restore(), "it holds `state/sticky.key`", &before);
    }
}

/// Appends an entry of any name.
fn append(
    archive: &mut tar::Builder<std::fs::File>,
    name: &str,
    kind: tar::EntryType,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

#[test]
fn a_backup_of_a_newer_version_changes_nothing() {
    let (vhost, config, path) = stopped();
    let before = files(&vhost.state_dir());
    // Made anew with another manifest, and the right sums.
    let unpacked = tempfile::tempdir().unwrap();
    let tar = |args: &[&str]| {
        let mut command = Command::new("tar");
        assert!(command.args(args).current_dir(unpacked.path()).status().unwrap().success());
    };
    tar(&["--extract", "--file", text(&path)]);
    let manifest = unpacked.path().join("manifest.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    for (key, number) in [("schema", 99), ("format", 2)] {
        let right = std::mem::replace(&mut value[key], number.into());
        std::fs::write(&manifest, value.to_string()).unwrap();
        value[key] = right;
        tar(&["--create", "--file", text(&path), "manifest.json", "state/state.db", "SHA256SUMS"]);
        let output = state(&["restore", text(&path), "--config", text(&config)]);
        unchanged(&vhost, &output, "made the backup", &before);
        let checked = state(&["check", text(&path)]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(checked.stderr.contains("or a newer one"), "{checked:?}");
    }
}
