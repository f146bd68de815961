//! Rows as sea-orm sees them.

pub(crate) mod session {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(schema_name = "session_pool", table_name = "sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant_id: Uuid,
        pub display_name: String,
        /// Sealed.
        pub phone: Vec<u8>,
        pub app: String,
        pub phone_number_id: String,
        pub business_account_id: String,
        pub portfolio_id: String,
        /// Sealed.
        pub credentials: Vec<u8>,
        pub state: i16,
        pub state_reason: String,
        pub resume_at: Option<ChronoDateTimeUtc>,
        pub messages_per_minute: i32,
        pub last_used_at: Option<ChronoDateTimeUtc>,
        pub created_at: ChronoDateTimeUtc,
        pub deleted_at: Option<ChronoDateTimeUtc>,
        /// 1 Meta's Cloud API, 2 WhatsApp Web.
        pub connector: i16,
        pub device_name: String,
        pub presence: bool,
        pub pinned: bool,
        pub history_days: i32,
        pub number_checks_per_day: i32,
        pub linked_at: Option<ChronoDateTimeUtc>,
        pub visited_at: Option<ChronoDateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
