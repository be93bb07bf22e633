//! The control socket's frames: what each kind is answered, and that no bytes do harm.

use crate::control::protocol::{self, By, Error, Kind, Me, Release, Request};
use crate::control::session::{LONGEST, Session, Step};
use crate::tests::sized;
use proptest::prelude::*;

const ME: Me = Me { pid: 4242, start: 77, version: "1.2.3", layout_version: 9 };

fn feed(session: &mut Session, bytes: &[u8]) -> (Step, Vec<Request>) {
    let mut asked = Vec::new();
    let step = session.feed(bytes, &ME, |request| {
        asked.push(request.clone());
        protocol::pong(&ME)
    });
    (step, asked)
}

/// What a frame leads to: a request, or the refusal's name.
fn outcome(frame: &[u8]) -> Result<Request, Error> {
    protocol::parse(frame, &ME).map_err(|refusal| refusal.error)
}

/// The golden corpus: every way to be right, and every way to be wrong that is told apart.
#[test]
fn each_kind_of_frame_has_its_answer() {
    let order = |kind, name: Option<&str>, by| {
        Ok(Request::Release(Release {
            kind,
            name: name.map(Into::into),
            name_cut: false,
            token: 7,
            reason: "stuck".into(),
            by,
        }))
    };
    let by = By { pid: 5, command: "node x".into() };
    let corpus: &[(&str, Result<Request, Error>)] = &[
        (r#"{"op":"ping"}"#, Ok(Request::Ping)),
        (r#" { "op" : "ping" , "to" : { "pid" : 4242 } } "#, Ok(Request::Ping)),
        (r#"{"op":"ping","to":{"pid":4242,"startTime":77}}"#, Ok(Request::Ping)),
        (r#"{"op":"ping","to":{"pid":4242,"startTime":78}}"#, Err(Error::OtherProcess)),
        (r#"{"op":"ping","to":{"pid":4243}}"#, Err(Error::OtherProcess)),
        (r#"{"op":"ping","to":{}}"#, Err(Error::BadRequest)),
        (r#"{"op":"ping","to":{"pid":4242,"x":1}}"#, Err(Error::BadRequest)),
        (r#"{"op":"ping","x":1}"#, Err(Error::BadRequest)),
        (r#"{"op":"ping","op":"ping"}"#, Err(Error::BadRequest)),
        (r#"{"op":"status"}"#, Err(Error::UnknownOp)),
        (r#"{"op":"\u001b]0;x\u0007"}"#, Err(Error::UnknownOp)),
        (r#"{"op":1}"#, Err(Error::BadRequest)),
        ("{}", Err(Error::BadRequest)),
        ("[]", Err(Error::BadRequest)),
        ("null", Err(Error::BadRequest)),
        ("", Err(Error::BadFrame)),
        ("{", Err(Error::BadFrame)),
        (r#"{"op":"ping"} {}"#, Err(Error::BadFrame)),
        ("GET / HTTP/1.1\r", Err(Error::BadFrame)),
        (
            r#"{"op":"release","kind":"lock","name":"a","token":7,"reason":"stuck"}"#,
            order(Kind::Lock, Some("a"), None),
        ),
        (
            r#"{"op":"release","kind":"semaphore","name":null,"token":7,"reason":"stuck"}"#,
            order(Kind::Semaphore, None, None),
        ),
        (
            r#"{"op":"release","kind":"send","token":7,"reason":"stuck","by":{"pid":5,"command":"node x"}}"#,
            order(Kind::Send, None, Some(by)),
        ),
        (r#"{"op":"release","kind":"host","name":"a","token":7,"reason":"stuck"}"#, Err(Error::BadRequest)),
        (
            r#"{"op":"release","kind":"lock","name":"-host:a","token":7,"reason":"stuck"}"#,
            Err(Error::BadRequest),
        ),
        (r#"{"op":"release","kind":"lock","name":"a","token":0,"reason":"stuck"}"#, Err(Error::BadRequest)),
        (
            r#"{"op":"release","kind":"lock","name":"a","token":9007199254740992,"reason":"stuck"}"#,
            Err(Error::BadRequest),
        ),
        (r#"{"op":"release","kind":"lock","name":"a","token":-1,"reason":"stuck"}"#, Err(Error::BadRequest)),
        (r#"{"op":"release","kind":"lock","name":"a","token":1.5,"reason":"stuck"}"#, Err(Error::BadRequest)),
        (r#"{"op":"release","kind":"lock","name":"a","token":7}"#, Err(Error::BadRequest)),
        (r#"{"op":"release","kind":"lock","name":"a","token":7,"reason":" "}"#, Err(Error::BadRequest)),
        (r#"{"op":"release","kind":"lock","name":"\ud800","token":7,"reason":"x"}"#, Err(Error::BadFrame)),
        (
            r#"{"op":"release","kind":"lock","name":"a","token":7,"reason":"x","force":true}"#,
            Err(Error::BadRequest),
        ),
    ];
    for (frame, wanted) in corpus {
        assert_eq!(outcome(frame.as_bytes()), *wanted, "{frame}");
    }
    assert_eq!(outcome(b"{\"op\":\"\xff\"}"), Err(Error::BadFrame));
}

#[test]
fn the_answers_are_these_lines() {
    let refused = protocol::parse(br#"{"op":"\u001b[2J"}"#, &ME).unwrap_err();
    let wanted = "{\"ok\":false,\"error\":\"unknown_op\",\"message\":\"no such op: \u{fffd}[2J; there are ping and release\"}";
    assert_eq!(refused.to_json(), wanted);
    let pong = r#"{"ok":true,"protocol":1,"pid":4242,"startTime":77,"version":"1.2.3","layoutVersion":9}"#;
    assert_eq!(protocol::pong(&ME), pong);
    assert_eq!(protocol::released("{}"), r#"{"ok":true,"released":true,"holder":{}}"#);
    let free = protocol::not_released(protocol::Why::Free, None);
    assert_eq!(free, r#"{"ok":true,"released":false,"refused":"free","holder":null}"#);
}

#[test]
fn frames_come_in_any_pieces_and_are_answered_in_order() {
    let text = b"{\"op\":\"ping\"}\n{\"op\":\"nothing\"}\n{\"op\":\"ping\"}\n";
    let whole = feed(&mut Session::default(), text).0;
    assert_eq!((whole.frames, whole.ends, whole.answers.lines().count()), (3, false, 3));
    let mut session = Session::default();
    let pieces: String = text.iter().map(|byte| feed(&mut session, &[*byte]).0.answers).collect();
    assert_eq!(pieces, whole.answers);
}

#[test]
fn what_cannot_be_told_apart_ends_the_connection() {
    let (step, asked) = feed(&mut Session::default(), b"nonsense\n{\"op\":\"ping\"}\n");
    assert!(step.ends && asked.is_empty() && step.answers.lines().count() == 1);

    let long = vec![b' '; LONGEST];
    let (step, _) = feed(&mut Session::default(), &long);
    assert!(step.ends && step.answers.contains("too_long"));

    let mut session = Session::default();
    for _ in 0..LONGEST - 1 {
        assert_eq!(feed(&mut session, b" ").0, Step::default());
    }
    assert!(feed(&mut session, b" ").0.ends, "so many bytes without a newline");

    let mut longest = br#"{"op":"ping"}"#.to_vec();
    longest.resize(LONGEST - 1, b' ');
    longest.push(b'\n');
    assert_eq!(feed(&mut Session::default(), &longest).1, [Request::Ping], "the longest frame is one");
    longest.insert(0, b' ');
    assert!(feed(&mut Session::default(), &longest).0.ends);
}

/// Texts that are nearly frames: the right words in the wrong places.
fn near_frames() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just(r#"{"op":"ping"}"#.to_owned()),
        Just(r#"{"op":"release","kind":"lock","name":"#.to_owned()),
        Just(r#","token":"#.to_owned()),
        Just(r#","reason":"x"}"#.to_owned()),
        Just(r#""to":{"pid":4242}"#.to_owned()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| format!("{text:?}")),
        Just("[".repeat(3_000)),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sized(20_000, 2_000_000) as u32))]

    /// Each whole line has its one answer, none keeps more than a frame, and no answer breaks a line or carries
    /// anything that drives a terminal.
    #[test]
    fn no_bytes_do_harm(pieces in prop::collection::vec(
        prop_oneof![near_frames(), prop::collection::vec(any::<u8>(), 0..200)], 0..6)
    ) {
        let mut session = Session::default();
        for piece in pieces {
            let (step, asked) = feed(&mut session, &piece);
            prop_assert!(asked.len() <= step.frames);
            prop_assert!(step.answers.lines().count() >= step.frames);
            for line in step.answers.lines() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
                prop_assert!(!line.chars().any(char::is_control));
            }
            if step.ends {
                break;
            }
        }
    }
}
