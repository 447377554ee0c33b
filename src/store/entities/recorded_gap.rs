//! A row of `recorded_gaps`: a span of time in which nothing of a track was recorded.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recorded_gaps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub track: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub from_ms: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub to_ms: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub reason: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
