//! What the scan says of scripts: servers, doubts, needs, and what it does with bad input.

use std::fs;
use std::path::Path;

use dormouse_scan::{Cache, MAX_BYTES, ScanError, Scanned, Script, Sdk, scan_file, scan_source};
use dormouse_types::{Confidence, Doubt};
use proptest::prelude::*;

fn scan(text: &str) -> Scanned {
    scan_source(Path::new("/nowhere/script.py"), text)
}

fn script(text: &str) -> Script {
    match scan(text) {
        Scanned::Server(script) => script,
        Scanned::NoServer { reason } => panic!("{reason}: {text}"),
    }
}

fn reason(text: &str) -> String {
    match scan(text) {
        Scanned::NoServer { reason } => reason,
        Scanned::Server(script) => panic!("a server: {script:?}"),
    }
}

fn doubts(script: &Script) -> Vec<Doubt> {
    match &script.confidence {
        Confidence::Full => Vec::new(),
        Confidence::Partial(doubts) => doubts.clone(),
    }
}

fn tools(script: &Script) -> Vec<&str> {
    script.features().tools.iter().map(|tool| tool.name.as_str()).collect()
}

const ONE: &str = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('one')\n@mcp.tool()\ndef add(a: int, b: int) -> int:\n    return a + b\n";

#[test]
fn what_a_run_decides_is_doubted_with_its_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/partial");
    let Scanned::Server(script) = scan_file(&folder.join("several.py")).unwrap() else { panic!() };
    let lines: Vec<String> =
        doubts(&script).iter().map(|doubt| format!("{}: {}", doubt.line, doubt.reason)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    14: `one`: `name` is worked out when the script runs
    14: `one` is registered in a loop
    18: `extra` is registered under a condition
    23: `order`: the type `Order` comes from `models.Order`, which is not read
    23: `order`: a default is worked out when the script runs
    29: the decorator `os.fspath` may change `changed`
    "#);
    // The tool of the loop has no name that could be promised.
    assert_eq!(tools(&script), ["extra", "order", "changed"]);
    assert_eq!(script.features().title.as_deref(), Some("several"));
}

#[test]
fn the_server_that_runs_is_the_one_that_counts() {
    let two = "from mcp.server import MCPServer as S\na = S('a')\nb = S('b')\n@a.tool()\ndef one(): ...\n@b.tool()\ndef two(): ...\n";
    let told = script(&format!("{two}b.run()\n"));
    assert_eq!(
        (tools(&told), told.features().title.as_deref(), told.sdk),
        (vec!["two"], Some("b"), Sdk::Mcp2)
    );
    assert_eq!(doubts(&told), []);
    let untold = script(two);
    assert_eq!(tools(&untold), ["one", "two"]);
    assert!(doubts(&untold)[0].reason.contains("several servers"));
}

#[test]
fn sdks_are_known_by_their_imports() {
    for (imports, server, sdk, requirement) in [
        ("from mcp.server.fastmcp import FastMCP", "FastMCP('x')", Sdk::Mcp1, "mcp<2"),
        ("import mcp.server.fastmcp as m", "m.FastMCP('x')", Sdk::Mcp1, "mcp<2"),
        (
            "from mcp.server.lowlevel import Server",
            "Server('x')\n@s.list_tools()\nasync def f(): return []",
            Sdk::Mcp1,
            "mcp<2",
        ),
        ("from mcp.server import MCPServer", "MCPServer('x')", Sdk::Mcp2, "mcp>=2"),
        ("from mcp.server import Server", "Server('x', on_call_tool=print)", Sdk::Mcp2, "mcp>=2"),
        ("import fastmcp", "fastmcp.FastMCP('x')", Sdk::FastMcp4, "fastmcp"),
        ("from fastmcp import FastMCP as F", "F('x', on_duplicate_tools='warn')", Sdk::FastMcp2, "fastmcp<3"),
    ] {
        let script = script(&format!("{imports}\ns = {server}\n"));
        assert_eq!(
            (script.sdk, script.needs.requirements.as_slice()),
            (sdk, [requirement.to_owned()].as_slice()),
            "{imports}"
        );
    }
}

#[test]
fn a_header_decides_over_imports_and_names_the_generation() {
    for (pin, sdk) in
        [("fastmcp==2.14.*", Sdk::FastMcp2), ("fastmcp>=3,<4", Sdk::FastMcp3), ("fastmcp", Sdk::FastMcp4)]
    {
        let text = format!(
            "# /// script\n# dependencies = [\"{pin}\", \"nobody-knows\"]\n# ///\nimport strange\nfrom fastmcp import FastMCP\nm = FastMCP('x')\n"
        );
        let script = script(&text);
        assert_eq!(script.sdk, sdk);
        assert_eq!(script.needs.problem, None);
        assert_eq!(script.needs.requirements.len(), 2);
    }
}

#[test]
fn imports_become_packages_and_unknown_ones_a_header_to_paste() {
    let needs = script(&format!("import bs4, yaml, json\nfrom PIL import Image\ntry:\n    import strange\nexcept ImportError:\n    strange = None\n{ONE}\ndef later():\n    import httpx\n")).needs;
    assert_eq!(needs.requirements, ["beautifulsoup4", "httpx", "mcp<2", "pillow", "pyyaml"]);
    assert_eq!(needs.problem, None);
    let problem = script(&format!("import requests\nimport my_secret_lib\n{ONE}")).needs.problem.unwrap();
    insta::assert_snapshot!(problem, @r#"
    no package is known for the import of `my_secret_lib` (line 2); put the right names into this header at the top of the script:
    # /// script
    # dependencies = ["mcp<2", "requests", "the package of my_secret_lib"]
    # ///
    "#);
}

#[test]
fn modules_beside_the_script_are_local_and_part_of_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.py");
    fs::write(&path, format!("import helper\n{ONE}")).unwrap();
    fs::write(folder.path().join("helper.py"), "import deeper, requests\n").unwrap();
    fs::write(folder.path().join("deeper.py"), "X = 1\n").unwrap();
    let read = || match scan_file(&path).unwrap() {
        Scanned::Server(script) => script,
        Scanned::NoServer { reason } => panic!("{reason}"),
    };
    let first = read();
    assert_eq!(first.local_modules, [folder.path().join("deeper.py"), folder.path().join("helper.py")]);
    assert_eq!(first.needs.requirements, ["mcp<2", "requests"]);
    fs::write(folder.path().join("deeper.py"), "X = 2\n").unwrap();
    assert_ne!(read().content_hash, first.content_hash);
}

#[test]
fn a_folder_is_read_once_and_again_only_where_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.cache");
    for index in 0..100 {
        fs::write(folder.path().join(format!("s{index}.py")), ONE.replace("'one'", &format!("'{index}'")))
            .unwrap();
    }
    fs::write(folder.path().join("__init__.py"), ONE).unwrap();
    fs::write(folder.path().join(".hidden.py"), ONE).unwrap();
    fs::write(folder.path().join("s1.py"), format!("import helper\n{ONE}")).unwrap();
    fs::write(folder.path().join("helper.py"), "X = 1\n").unwrap();

    let mut cache = Cache::load(&file);
    let report = cache.scan(folder.path());
    assert_eq!((report.scripts.len(), report.parsed), (101, 101));
    assert_eq!(cache.scan(folder.path()).parsed, 0);
    cache.save(&file).unwrap();

    let mut cache = Cache::load(&file);
    let again = cache.scan(folder.path());
    assert_eq!(again.parsed, 0);
    assert_eq!(again.scripts, report.scripts);
    fs::write(folder.path().join("s7.py"), format!("{ONE}\n# more\n")).unwrap();
    assert_eq!(cache.scan(folder.path()).parsed, 1);
    fs::remove_file(folder.path().join("s7.py")).unwrap();
    assert_eq!(cache.scan(folder.path()).scripts.len(), 100);
    // The helper is a script of the folder too, and `s1.py` depends on it.
    fs::write(folder.path().join("helper.py"), "X = 22\n").unwrap();
    assert_eq!(cache.scan(folder.path()).parsed, 2);
}

#[test]
fn a_broken_or_foreign_cache_file_is_an_empty_cache() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.cache");
    fs::write(folder.path().join("a.py"), ONE).unwrap();
    let mut cache = Cache::default();
    cache.scan(folder.path());
    cache.save(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut foreign = whole.clone();
    foreign[14] ^= 1;
    let mut wounded = whole.clone();
    let middle = whole.len() - 40;
    wounded[middle] ^= 1;
    for bytes in [&b""[..], b"another format\n", &whole[..whole.len() - 20], &whole[..20], &foreign, &wounded]
    {
        fs::write(&file, bytes).unwrap();
        assert_eq!(Cache::load(&file).scan(folder.path()).parsed, 1, "{} bytes", bytes.len());
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(Cache::load(&file).scan(folder.path()).parsed, 0);
}

#[test]
fn files_that_are_no_scripts_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::File::create(at("huge.py")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(scan_file(&at("huge.py")), Err(ScanError::TooLarge { bytes: 100 << 20 }));
    fs::File::create(at("large.py")).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(scan_file(&at("large.py")), Err(ScanError::TooLarge { .. })));
    fs::write(at("latin.py"), b"# caf\xe9\n").unwrap();
    assert_eq!(scan_file(&at("latin.py")), Err(ScanError::NotUtf8 { at: 5 }));
    fs::write(outside.path().join("real.py"), ONE).unwrap();
    std::os::unix::fs::symlink(outside.path().join("real.py"), at("link.py")).unwrap();
    assert!(matches!(scan_file(&at("link.py")), Err(ScanError::LinkOutside { .. })));
    fs::write(at("real.py"), ONE).unwrap();
    std::os::unix::fs::symlink(at("real.py"), at("inner.py")).unwrap();
    assert!(matches!(scan_file(&at("inner.py")), Ok(Scanned::Server(_))));
    std::os::unix::fs::symlink(at("nothing.py"), at("dangling.py")).unwrap();
    assert!(matches!(scan_file(&at("dangling.py")), Err(ScanError::Unreadable { .. })));
    fs::create_dir(at("folder.py")).unwrap();
    assert_eq!(scan_file(&at("folder.py")), Err(ScanError::NoFile));
    let report = Cache::default().scan(folder.path());
    assert_eq!(report.scripts.len(), 7);
}

#[test]
fn files_without_a_server_say_why() {
    assert!(reason("print('hello')\n").contains("does not mention"));
    assert!(
        reason(
            "import mcp\nclass P:\n    def tool(self): return lambda f: f\np = P()\n@p.tool()\ndef f(): ...\n"
        )
        .contains("builds no MCP server")
    );
    assert!(reason("import mcp\ndef f(:\n  x = (\n").contains("syntax error at line"));
}

#[test]
fn a_syntax_error_beside_a_server_is_a_doubt() {
    let script = script(&format!("{ONE}\ndef broken(:\n    pass\n"));
    assert_eq!(tools(&script), ["add"]);
    assert!(doubts(&script)[0].reason.contains("syntax error"), "{:?}", doubts(&script));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let plain = script(ONE).features().clone();
    assert_eq!(script(&format!("\u{feff}{}", ONE.replace('\n', "\r\n"))).features(), &plain);
}

#[test]
fn deep_nesting_neither_overflows_nor_hangs() {
    let depth = 20_000;
    let brackets = format!("{ONE}x = {}1{}\n", "(".repeat(depth), ")".repeat(depth));
    let lists = format!("{ONE}x = {}{}\n", "[".repeat(depth), "]".repeat(depth));
    let sum = format!("{ONE}x = 1{}\n", " + 1".repeat(depth));
    let unions = format!("{ONE}@mcp.tool()\ndef f(a: int{}): ...\n", " | int".repeat(depth));
    let optional =
        format!("{ONE}@mcp.tool()\ndef f(a: {}int{}): ...\n", "list[".repeat(depth), "]".repeat(depth));
    let attributes = format!("{ONE}x = a{}\n", ".b".repeat(depth));
    let calls = format!("{ONE}f{}\n", "()".repeat(depth));
    let mut blocks = ONE.to_owned();
    for level in 0..300 {
        blocks.push_str(&format!("{}if x:\n", " ".repeat(level)));
    }
    blocks.push_str(&format!("{}pass\n", " ".repeat(300)));
    let aliases: String = (0..2_000).map(|index| format!("A{} = list[A{index}]\n", index + 1)).collect();
    let aliases = format!("{ONE}A0 = int\n{aliases}@mcp.tool()\ndef f(a: A2000): ...\n");
    let circle = format!(
        "{ONE}A = B\nB = A\nC = list[C]\n@mcp.tool()\ndef f(a: A, c: C, d: 'D', x: int = Y): ...\nD = 'D'\nY = Z\nZ = Y\n"
    );
    let doubling: String =
        (0..40).map(|index| format!("T{} = tuple[T{index}, T{index}]\n", index + 1)).collect();
    let doubling = format!("{ONE}T0 = int\n{doubling}@mcp.tool()\ndef f(a: T40): ...\n");
    let sums: String = (0..60)
        .map(|index| format!("S{} = S{index} + S{index}\nL{} = [L{index}, L{index}]\n", index + 1, index + 1))
        .collect();
    let sums =
        format!("{ONE}S0 = 'ab'\nL0 = [1]\n{sums}@mcp.tool()\ndef f(a: str = S60, b: list = L60): ...\n");
    let models: String = (0..60)
        .map(|index| format!("class M{}(BaseModel):\n    a: M{index}\n    b: M{index}\n", index + 1))
        .collect();
    let models = format!(
        "from pydantic import BaseModel\n{}class M0(BaseModel):\n    x: int\n{models}@mcp.tool()\ndef f(a: M60) -> M60: ...\n",
        ONE.replace("mcp.server.fastmcp", "fastmcp")
    );
    let odd = format!(
        "{ONE}from enum import Enum\nfrom pydantic import BaseModel\nclass E(Enum):\n    A = E.A\n    B = F.C\nclass F(Enum):\n    C = E.B\nclass A(B): ...\nclass B(A): ...\nclass M(M): ...\n@mcp.tool()\ndef f(a: E = E.B, b: A = None, m: M = 1, g: A.A = 1) -> M: ...\nx = x.y\ny = y()\n"
    );
    for text in [
        sums, models, odd, brackets, lists, sum, unions, optional, attributes, calls, blocks, aliases,
        circle, doubling,
    ] {
        assert_eq!(tools(&script(&text))[0], "add");
    }
}

#[test]
fn the_shipped_servers_are_read_in_full() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../servers");
    let report = Cache::default().scan(&folder);
    let mut read = 0;
    for (path, scanned) in report.scripts {
        let Scanned::Server(script) = &*scanned.unwrap() else {
            panic!("{} builds no server", path.display())
        };
        assert_eq!(script.confidence, Confidence::Full, "{}", path.display());
        assert_eq!(script.needs.problem, None, "{}", path.display());
        read += script.features().tools.len();
    }
    assert_eq!(read, 15);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        scan(&text);
        scan(&format!("{ONE}{text}\n"));
        scan(&format!("# /// script\n# {text}\n# ///\n{ONE}"));
    }

    #[test]
    fn arbitrary_python_like_text_never_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "@mcp.tool()\n", "def f(", "a: int", " = ", "'", "\"\"\"", "(", ")", "[", "]", ":\n", "    ", "class A(", "BaseModel", "mcp", ".tool", "Annotated[", "Field(ge=1)", ",", "\n",
        "return ", "import x\n", "for x in y:\n", "|", "None", "# /// script\n", "# ///\n", "\\", "f'{", "lambda: ", "*", "**", "async ", "Literal[", "1", "ä", "\t", "if __name__ == '__main__':\n", "A = A\n", "mcp.run()\n", "Enum", "-> ",
    ]), 0..60)) {
        let text = parts.concat();
        scan(&format!("from typing import *\nfrom pydantic import BaseModel, Field\n{ONE}{text}\n"));
    }

    #[test]
    fn a_real_script_with_a_wound_never_panics(at in 0usize..4000, wound in "\\PC{0,8}", length in 0usize..40) {
        let text = include_str!("fixtures/shared/corners.py").replace("from SDK", "from mcp.server.fastmcp");
        let mut from = at.min(text.len());
        while !text.is_char_boundary(from) { from -= 1; }
        let mut to = (from + length).min(text.len());
        while !text.is_char_boundary(to) { to += 1; }
        scan(&format!("{}{wound}{}", &text[..from], &text[to..]));
    }
}
