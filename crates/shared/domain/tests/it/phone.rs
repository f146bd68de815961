use barid_domain::{Country, Phone, phone::Error};
use proptest::prelude::*;

fn country(code: &str) -> Country {
    code.parse().expect("a country")
}

fn read(input: &str, code: &str) -> Result<String, Error> {
    Phone::parse(input, country(code)).map(|phone| phone.to_string())
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let cases = [
        ("EG", "201234567890", "+201234567890"),
        ("EG", "+20 123 456 7890", "+201234567890"),
        ("EG", "00201234567890", "+201234567890"),
        ("EG", "01234567890", "+201234567890"),
        ("EG", "1234567890", "+201234567890"),
        ("EG", "٠١٢٣٤٥٦٧٨٩٠", "+201234567890"),
        ("EG", "\u{200f}+٢٠ ١٢٣-٤٥٦-٧٨٩٠\u{200e}", "+201234567890"),
        ("EG", "+20 (0)12 3456 7890", "+201234567890"),
        ("EG", "02 2792 2222", "+20227922222"),
        ("EG", "5511987654321", "+5511987654321"),
        ("BR", "201234567890", "+201234567890"),
        ("BR", "+55 11 98765-4321", "+5511987654321"),
        ("BR", "(11) 98765-4321", "+5511987654321"),
        ("BR", "011 98765-4321", "+5511987654321"),
        ("BR", "0 15 11 98765-4321", "+5511987654321"),
        ("BR", "(55) 99123-4567", "+5555991234567"),
        ("US", "(201) 555-0123", "+12015550123"),
        ("US", "1 416 555 0123", "+14165550123"),
        ("US", "1 876 555 0123", "+18765550123"),
        ("GB", "020 7031 3000", "+442070313000"),
        ("IT", "06 698 82 211", "+390669882211"),
        ("AR", "011 15 2345-6789", "+5491123456789"),
        ("SA", "05 0123 4567", "+966501234567"),
        ("RU", "8 800 555 35 35", "+78005553535"),
        ("RU", "+7 800 555 35 35", "+78005553535"),
    ];
    for (code, input, expected) in cases {
        assert_eq!(read(input, code).as_deref(), Ok(expected), "{input} in {code}");
    }
}

#[test]
fn a_brazilian_mobile_number_gets_its_ninth_digit_and_a_landline_does_not() {
    for input in ["+55 11 8765-4321", "551187654321", "(11) 8765-4321", "011 8765-4321", "+55 11 98765-4321"] {
        assert_eq!(read(input, "BR").as_deref(), Ok("+5511987654321"), "{input}");
    }
    assert_eq!(read("+55 85 6765-4321", "EG").as_deref(), Ok("+5585967654321"));
    assert_eq!(read("(11) 3456-7890", "BR").as_deref(), Ok("+551134567890"));
    assert_eq!(read("0800 777 1234", "BR").as_deref(), Ok("+558007771234"));
}

#[test]
fn errors_name_the_rule_and_the_remedy() {
    let cases = [
        ("", Error::Empty),
        (" + ", Error::Empty),
        ("+20 12 call me", Error::Character('c')),
        ("20+1234567890", Error::Character('+')),
        ("++201234567890", Error::Character('+')),
        ("+2012345678901234", Error::TooLong),
        ("12345678901234567890", Error::TooLong),
        ("+999 123 456 789", Error::UnknownCountryCode),
        ("0099 9123 456 789", Error::UnknownCountryCode),
        ("+0 12 3456 7890", Error::UnknownCountryCode),
        ("+20", Error::Impossible(20)),
        ("+20 123 456 789", Error::Impossible(20)),
        ("+20 19 3456 7890", Error::Impossible(20)),
        ("0123456789", Error::NotNational(country("EG"))),
    ];
    for (input, expected) in cases {
        assert_eq!(read(input, "EG"), Err(expected), "{input}");
    }
    assert_eq!(
        Error::NotNational(country("EG")).to_string(),
        "neither a number of EG nor one with its country code; check its digits, or write + and the country code in front"
    );
    assert_eq!(Error::TooLong.to_string(), "a phone number has at most 15 digits; check for digits too many");
}

#[test]
fn debug_shows_too_little_to_call() {
    let phone = Phone::parse("01234567890", country("EG")).expect("a number");
    assert_eq!(format!("{phone:?}"), "Phone(+20..90)");
    assert_eq!(phone.digits(), "201234567890");
    assert_eq!(phone.country_code(), 20);
    assert_eq!(Phone::parse("+1 876 555 0123", country("EG")).expect("a number").country_code(), 1);
}

#[test]
fn countries_are_the_known_ones() {
    assert_eq!(country("eg").to_string(), "EG");
    for text in ["", "E", "XX", "EGY", "مص", "001"] {
        assert!(text.parse::<Country>().is_err(), "{text}");
    }
}

#[test]
fn the_examples_of_every_numbering_plan_are_read_and_read_back() {
    for plan in phonenumber::metadata::DATABASE.iter().filter(|plan| plan.id() != "001") {
        let home = country(plan.id());
        for kind in [plan.descriptors().mobile(), plan.descriptors().fixed_line()].into_iter().flatten() {
            let Some(example) = kind.example() else { continue };
            let phone =
                Phone::parse(&format!("+{}{example}", plan.country_code()), home).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
            assert_eq!(phone.country_code(), plan.country_code());
            assert_eq!(Phone::parse(&phone.to_string(), country("EG")), Ok(phone.clone()));
        }
    }
}

proptest! {
    #[test]
    fn a_number_reads_back_in_every_country(input in r"[+0]{0,2}[0-9]{5,15}", home in prop::sample::select(vec!["EG", "BR", "US", "DE", "AR", "MX", "RU"])) {
        if let Ok(phone) = Phone::parse(&input, country(home)) {
            for code in ["EG", "BR", "US", "DE"] {
                prop_assert_eq!(Phone::parse(&phone.to_string(), country(code)), Ok(phone.clone()));
            }
            prop_assert!(phone.digits().len() <= 15 && phone.digits().bytes().all(|byte| byte.is_ascii_digit()));
        }
    }

    #[test]
    fn no_text_panics(input: String, digits in r"[+0-9٠-٩ ()\-]{0,24}") {
        for text in [input, digits] {
            let _ = Phone::parse(&text, country("EG"));
            let _ = Phone::parse(&text, country("BR"));
            let _ = text.parse::<Country>();
        }
    }
}
