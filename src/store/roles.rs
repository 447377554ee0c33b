//! The roles of a PostgreSQL database: grants privileges to the server's role, and checks that it
//! has no more than those.

use crate::store::error::SetupError;
use cabildo_migrations::{MIGRATION_TABLE, PRIVILEGES, TABLES};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};

/// Refuses a role to which row-level security would not apply, and tables on which it is not
/// forced.
pub(super) async fn check(connection: &impl ConnectionTrait) -> Result<(), SetupError> {
    let role = text(connection, "SELECT current_user::text AS value", []).await?;
    let role = role.into_iter().next().unwrap_or_default();
    // A role can become every role of which it is a member, so their attributes count too.
    let powerful = text(
        connection,
        "SELECT rolname::text AS value FROM pg_roles \
         WHERE (rolsuper OR rolbypassrls) AND pg_has_role(current_user, oid, 'MEMBER') LIMIT 1",
        [],
    )
    .await?;
    if let Some(powerful) = powerful.first() {
        let reason = format!("is or can become {powerful}, a superuser or one with BYPASSRLS");
        return Err(SetupError::RoleTooPowerful { role, reason });
    }
    let owned = text(
        connection,
        "SELECT c.relname::text AS value FROM pg_class c \
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace \
         AND c.relname = ANY(string_to_array($1, ',')) \
         AND pg_has_role(current_user, c.relowner, 'MEMBER') LIMIT 1",
        [tables().into()],
    )
    .await?;
    if let Some(table) = owned.first() {
        let reason = format!("is or can become the owner of {table}");
        return Err(SetupError::RoleTooPowerful { role, reason });
    }
    let tables = text(
        connection,
        "SELECT c.relname::text AS value FROM pg_class c \
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace \
         AND c.relname = ANY(string_to_array($1, ',')) \
         AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY c.relname",
        [tables().into()],
    )
    .await?;
    if tables.is_empty() { Ok(()) } else { Err(SetupError::Unprotected { tables }) }
}

/// Creates the server's role if it does not exist, with LOGIN but without a password: the operator
/// sets one, or authenticates the role by certificate or socket. Then grants the privileges that
/// each table needs and no others.
pub(super) async fn grant(transaction: &DatabaseTransaction, role: &str) -> Result<(), SetupError> {
    let quoted = quoted(role)?;
    let exists = "SELECT rolname::text AS value FROM pg_roles WHERE rolname = $1";
    if text(transaction, exists, [role.into()]).await?.is_empty() {
        let may_create = "SELECT rolname::text AS value FROM pg_roles \
             WHERE rolname = current_user AND (rolcreaterole OR rolsuper)";
        if text(transaction, may_create, []).await?.is_empty() {
            return Err(SetupError::RoleMissing { role: role.to_owned() });
        }
        let create = format!("CREATE ROLE {quoted} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE");
        transaction.execute_unprepared(&create).await?;
    }
    let schema = "SELECT quote_ident(current_schema()) AS value";
    let schema = text(transaction, schema, []).await?.into_iter().next().unwrap_or_default();
    let usage = format!("GRANT USAGE ON SCHEMA {schema} TO {quoted}");
    transaction.execute_unprepared(&usage).await?;
    for (table, privileges) in PRIVILEGES {
        let grant = format!("GRANT {privileges} ON {table} TO {quoted}");
        transaction.execute_unprepared(&grant).await?;
    }
    Ok(())
}

/// Protects the table of migrations like every other table.
pub(super) async fn protect_migration_table(
    transaction: &DatabaseTransaction,
) -> Result<(), SetupError> {
    let protect = format!(
        "ALTER TABLE {MIGRATION_TABLE} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         DROP POLICY IF EXISTS shared ON {MIGRATION_TABLE}; \
         CREATE POLICY shared ON {MIGRATION_TABLE} USING (true) WITH CHECK (true)"
    );
    transaction.execute_unprepared(&protect).await?;
    Ok(())
}

/// The name of a role in SQL. Names are restricted to characters that need no escaping.
fn quoted(role: &str) -> Result<String, SetupError> {
    let starts_well = role.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fits =
        role.len() <= 63 && role.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if starts_well && fits {
        Ok(format!("\"{role}\""))
    } else {
        Err(SetupError::RoleNameInvalid { role: role.to_owned() })
    }
}

fn tables() -> String {
    [TABLES, &[MIGRATION_TABLE]].concat().join(",")
}

/// The column `value` of all rows.
async fn text<const N: usize>(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: [sea_orm::Value; N],
) -> Result<Vec<String>, SetupError> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let rows = connection.query_all_raw(statement).await?;
    Ok(rows.iter().map(|row| row.try_get("", "value")).collect::<Result<_, _>>()?)
}
