//! A row of `playables`: a playable file and its wrapped key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "playables")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub of_track: Option<Uuid>,
    pub container: String,
    pub media_type: String,
    pub state: String,
    pub progress_permille: i64,
    pub wrapped_key: Option<Vec<u8>>,
    pub from_ms: i64,
    pub duration_ms: i64,
    pub parts: String,
    pub failure: Option<String>,
    pub resume_at: Option<String>,
    pub lacks: Option<String>,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
