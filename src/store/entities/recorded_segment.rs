//! A row of `recorded_segments`: a segment that is stored in the vault and entered in the log.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recorded_segments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub track: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub index: i64,
    pub size: i64,
    pub sha256: Vec<u8>,
    pub from_ms: i64,
    pub to_ms: i64,
    pub flags: i64,
    pub seq: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
