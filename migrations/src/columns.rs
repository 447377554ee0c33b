//! Columns and references as most tables have them.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyCreateStatement};

pub(crate) fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

pub(crate) fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

pub(crate) fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().not_null().take()
}

pub(crate) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

pub(crate) fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// The column, which may be empty.
pub(crate) fn nullable(mut column: ColumnDef) -> ColumnDef {
    column.null().take()
}

/// A reference to the session of the same tenant.
pub(crate) fn session_reference(table: &'static str) -> ForeignKeyCreateStatement {
    reference(table, "sessions", [("tenant_id", "tenant_id"), ("session_id", "id")])
}

/// A reference by pairs of columns, its own and the other table's.
pub(crate) fn reference<const N: usize>(
    table: &'static str,
    to: &'static str,
    columns: [(&'static str, &'static str); N],
) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.from_tbl(table).to_tbl(to);
    for (own, other) in columns {
        key.from_col(own).to_col(other);
    }
    key.take()
}
