//! GitHub's clock, as it is written: in the `Date` header and in commits. Milliseconds since 1970, whole seconds.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub fn of_header(text: &str) -> Option<u64> {
    let mut words = text.split(' ').skip(1);
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = 1 + MONTHS.iter().position(|month| *month == name)? as u64;
    let year = words.next()?.parse().ok()?;
    let time = time_of(words.next()?)?;
    Some(ms(year, month, day, time))
}

/// `1994-11-06T08:49:37Z`
pub fn of_commit(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.splitn(3, '-').map(str::parse);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(ms(year, month, day, time_of(time)?))
}

fn time_of(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, ':').map(str::parse::<u64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some((hours * 60 + minutes) * 60 + seconds)
}

/// Counts years from March, so that a leap day is a year's last.
fn ms(year: u64, month: u64, day: u64, time: u64) -> u64 {
    let (years, months) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day;
    // From 1 March of the year 0 to 1970, and days of a month count from 1.
    (days.saturating_sub(719_469) * 86_400 + time) * 1_000
}

/// For people: an instant as commits have it.
pub fn shown(ms: u64) -> String {
    let (days, time) = (ms / 86_400_000, ms / 1_000 % 86_400);
    // Days since 1 March of the year 0, in spans of 400 years, which are all alike.
    let since = days + 719_468;
    let day = since % 146_097;
    let year_of_span = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year_of_span * 365 + year_of_span / 4 - year_of_span / 100);
    let months = (day * 5 + 2) / 153;
    let (month, day) = (if months < 10 { months + 3 } else { months - 9 }, day - (months * 153 + 2) / 5 + 1);
    let year = since / 146_097 * 400 + year_of_span + u64::from(month <= 2);
    let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_the_same_instant() {
        assert_eq!(of_header("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(of_header("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(of_commit("1994-11-06T08:49:37Z"), Some(784_111_777_000));
        assert_eq!(of_commit("2024-02-29T23:59:59Z"), Some(1_709_251_199_000));
        assert_eq!(of_commit("2024-03-01T00:00:00Z"), Some(1_709_251_200_000));
        assert_eq!(of_commit("2100-03-01T00:00:00Z"), Some(4_107_542_400_000));
    }

    #[test]
    fn every_day_is_shown_as_it_is_read() {
        for day in (0..300_000).step_by(7) {
            let ms = day * 86_400_000 + 12_345_000;
            assert_eq!(of_commit(&shown(ms)), Some(ms));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "now", "Sun, 06 Nov", "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT"]
        {
            assert_eq!(of_header(text), None, "{text}");
        }
        for text in ["", "1994-11-06", "1994-11-06T08:49:37+01:00", "T:Z", "1994-11T08:49:37Z"] {
            assert_eq!(of_commit(text), None, "{text}");
        }
    }
}
