//! Who plays in the demo: businesses in three languages and their customers. All numbers are made up; none can leave the simulator.

use serde_json::{Value, json};

/// The languages of the demo, in the order the bulk's businesses take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Cairo,
    Leeds,
    SaoPaulo,
}

pub const PLACES: [Place; 3] = [Place::Cairo, Place::Leeds, Place::SaoPaulo];

/// A business before it is registered anywhere.
#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub place: Place,
    /// What its customers call it, in their language.
    pub business_name: String,
    pub shown_phone: String,
    /// Its WhatsApp number in E.164 and Meta's ids of it.
    pub number: String,
    pub phone_number_id: String,
    pub account_id: String,
}

impl Role {
    /// The tenant that it becomes.
    pub fn tenant(&self) -> Value {
        let (locale, country, currency, time_zone) = match self.place {
            Place::Cairo => ("ar-EG", "EG", "EGP", "Africa/Cairo"),
            Place::Leeds => ("en-GB", "GB", "GBP", "Europe/London"),
            Place::SaoPaulo => ("pt-BR", "BR", "BRL", "America/Sao_Paulo"),
        };
        let glossary = match self.place {
            Place::Cairo => json!({"Dry Cleaning": "تنظيف جاف", "Pressing": "كي", "EGP": "جنيه"}),
            Place::Leeds => json!({}),
            Place::SaoPaulo => json!({"Dry Cleaning": "Lavagem a seco", "Pressing": "Passadoria"}),
        };
        json!({
            "name": self.name,
            "locale": locale,
            "country": country,
            "currency": currency,
            "timeZone": time_zone,
            "glossary": glossary,
            "branding": {"businessName": self.business_name, "phone": self.shown_phone, "emoji": "👋"},
            "dailyQuota": 1_000_000,
        })
    }
}

/// The three businesses with a story of their own.
pub fn principals() -> [Role; 3] {
    let role = |place, name: &str, business_name: &str, shown_phone: &str, number: &str, id: u64| Role {
        name: name.to_owned(),
        place,
        business_name: business_name.to_owned(),
        shown_phone: shown_phone.to_owned(),
        number: number.to_owned(),
        phone_number_id: (PHONE_NUMBER_IDS + id).to_string(),
        account_id: (ACCOUNT_IDS + id).to_string(),
    };
    [
        role(Place::Cairo, "Blue Nile Laundry", "مغسلة النيل الأزرق", "01234567890", "+201001234567", 1),
        role(Place::Leeds, "Aire Laundry", "Aire Laundry", "07400 123456", "+447400123456", 2),
        role(Place::SaoPaulo, "Coco Loko Açaiteria", "Coco Loko Açaiteria", "(11) 96123-4567", "+5511961234567", 3),
    ]
}

/// The `index`th business of the bulk, counted from 0.
pub fn extra(index: usize) -> Role {
    let place = PLACES[index % PLACES.len()];
    let id = 100 + index as u64;
    Role {
        name: format!("Demo Laundry {}", index + 1),
        place,
        business_name: match place {
            Place::Cairo => format!("مغسلة رقم {}", index + 1),
            Place::Leeds => format!("Laundry No. {}", index + 1),
            Place::SaoPaulo => format!("Lavanderia {}", index + 1),
        },
        shown_phone: String::new(),
        number: number(place, 90_000 + index),
        phone_number_id: (PHONE_NUMBER_IDS + id).to_string(),
        account_id: (ACCOUNT_IDS + id).to_string(),
    }
}

/// The number of a customer, as digits: WhatsApp's id of the phone.
pub fn customer(place: Place, index: usize) -> String {
    number(place, index).trim_start_matches('+').to_owned()
}

/// A mobile number of the place, the same for the same index below 100,000.
fn number(place: Place, index: usize) -> String {
    match place {
        Place::Cairo => format!("+2010220{index:05}"),
        Place::Leeds => format!("+447402{:06}", 200_000 + index),
        Place::SaoPaulo => format!("+5511973{index:06}"),
    }
}

const PHONE_NUMBER_IDS: u64 = 100_200_300_000;
const ACCOUNT_IDS: u64 = 400_500_600_000;

/// The token that the simulator takes from a number. It opens nothing else.
pub fn token(phone_number_id: &str) -> String {
    format!("demo-token-of-{phone_number_id}")
}

/// Meta's approved templates of a business account, as Barid's starters call them.
pub fn approved(account_id: &str) -> Vec<Value> {
    let invoices = [
        ("ar", "مرحباً {{1}}، فاتورتكم رقم {{2}} جاهزة. المبلغ الإجمالي: {{3}}. تاريخ الاستحقاق: {{4}}. شكراً لثقتكم بنا."),
        ("en", "Hello {{1}}, your invoice {{2}} is ready. Total: {{3}}. Due on: {{4}}. Thank you."),
        ("pt_BR", "Olá {{1}}, sua fatura {{2}} está pronta. Total: {{3}}. Vencimento: {{4}}. Obrigado."),
    ];
    let invoice = |(language, body): (&str, &str)| json!({"waba": account_id, "name": "invoice", "language": language, "header": "document", "body": body});
    invoices.into_iter().map(invoice).collect()
}

/// The variables of one invoice of the bulk.
pub fn invoice(place: Place, number: usize) -> Value {
    let (customer, currency, due) = match place {
        Place::Cairo => ("منى حسن", "EGP", "2026-12-15"),
        Place::Leeds => ("Grace Hall", "GBP", "2026-12-15"),
        Place::SaoPaulo => ("Ana Souza", "BRL", "2026-12-15"),
    };
    json!({
        "customerName": customer,
        "invoiceNumber": format!("INV-{number:06}"),
        "totalAmount": "50.00",
        "currency": currency,
        "dueDate": due,
        "items": [
            {"service": "Dry Cleaning", "quantity": 3, "price": "30.00"},
            {"service": "Pressing", "quantity": 5, "price": "20.00"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_shares_a_number() {
        let businesses = principals().into_iter().chain((0..50).map(extra)).map(|role| role.number);
        let customers = PLACES.into_iter().flat_map(|place| (0..2_000).map(move |index| format!("+{}", customer(place, index))));
        let mut numbers: Vec<String> = businesses.chain(customers).collect();
        let all = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }

    #[test]
    fn numbers_have_the_length_of_their_country() {
        for index in [0, 7, 99_999] {
            assert_eq!(customer(Place::Cairo, index).len(), 12);
            assert_eq!(customer(Place::Leeds, index).len(), 12);
            assert_eq!(customer(Place::SaoPaulo, index).len(), 13);
        }
    }
}
