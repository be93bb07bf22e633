//! Every escape sequence that terminals are known to obey, made systematically, goes through the door for
//! names and comes out as text (bar S5).

use crate::name::{MAX_BYTES, ShortText};

/// What the door lets through, said anew: no control, and nothing that hides or reorders text.
fn is_harmless(c: char) -> bool {
    let number = c as u32;
    let is_control = number < 0x20 || (0x7f..0xa0).contains(&number);
    let is_invisible = [0xad, 0x61c, 0x180e, 0xfeff].contains(&number)
        || (0x200b..=0x200f).contains(&number)
        || (0x2028..=0x202e).contains(&number)
        || (0x2060..=0x206f).contains(&number)
        || (0xfff9..=0xfffb).contains(&number)
        || (0xe0000..=0xe007f).contains(&number);
    !is_control && !is_invisible
}

/// Each sequence in its 7-bit and its 8-bit form.
fn both_forms(introducer: char, rest: &str) -> [String; 2] {
    let eight_bit = char::from_u32(introducer as u32 + 0x40).unwrap();
    [format!("\x1b{introducer}{rest}"), format!("{eight_bit}{rest}")]
}

fn sequences() -> Vec<String> {
    let mut all = Vec::new();
    // Control sequences: every final character, plain, with parameters and with a private mark.
    for last in '@'..='~' {
        for parameters in ["", "2", "1;31", "?25"] {
            all.extend(both_forms('[', &format!("{parameters}{last}")));
        }
    }
    // Operating system commands: titles, links, notifications, the clipboard, colours, the working directory.
    for command in [
        "0;title",
        "2;title",
        "8;;http://evil.test",
        "9;hello",
        "52;c;ZXZpbA==",
        "4;1;rgb:00/00/00",
        "7;file:///etc",
    ] {
        for end in ["\x07", "\x1b\\", "\u{9c}"] {
            all.extend(both_forms(']', &format!("{command}{end}")));
        }
    }
    // Device control, start of string, privacy message, application command.
    for introducer in ['P', 'X', '^', '_'] {
        for body in ["$q\"p", "+q544e", "1$r0m", "Gf=24;AAAA"] {
            all.extend(both_forms(introducer, &format!("{body}\x1b\\")));
        }
    }
    // Two-character escapes, character sets among them.
    all.extend(('0'..='~').map(|last| format!("\x1b{last}")));
    all.extend(["\x1b(0", "\x1b)B", "\x1b#8", "\x1b%G", "\x1b 7"].map(String::from));
    // Every control by itself, and what moves, hides or reorders text without any escape.
    all.extend((0..0x20).chain(0x7f..0xa0).map(|number| format!("a{}b", char::from_u32(number).unwrap())));
    let invisible = (0x200b..=0x200f).chain(0x2028..=0x202e).chain(0x2060..=0x206f).chain(0xfff9..=0xfffb);
    all.extend(
        invisible.chain([0xad, 0x61c, 0x180e, 0xfeff]).map(|n| format!("a{}b", char::from_u32(n).unwrap())),
    );
    all.extend((0xe0000..=0xe007f).map(|number| format!("a{}b", char::from_u32(number).unwrap())));
    all.extend(
        ["ok\rFAKE", "ok\x08\x08no", "ok\nforged line", "ok\u{2028}forged line", "\0", "a\x0bb\x0cc"]
            .map(String::from),
    );
    all
}

#[test]
fn no_known_escape_sequence_gets_through() {
    let all = sequences();
    for sequence in &all {
        for text in [sequence.clone(), format!("layer-{sequence}-1"), sequence.repeat(20)] {
            let cut = ShortText::cut(&text).to_text();
            assert!(cut.chars().all(is_harmless) && cut.len() <= MAX_BYTES, "{text:?} came out as {cut:?}");
            assert!(cut.contains('\u{fffd}'), "{text:?}: what was taken out leaves a mark");
            let named = ShortText::name(&text).map(|name| name.to_text());
            assert!(named.is_none_or(|name| name.chars().all(is_harmless)), "{text:?} as a name");
        }
    }
    println!("escapes: {} sequences, 0 unprintable characters out", all.len());
    assert!(all.len() >= 200);
}
