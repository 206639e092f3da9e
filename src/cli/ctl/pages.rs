//! Lists that come in pages.

use super::connect::Session;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::rpc::methods::{Listed, Method, Page, PageParams};

/// Prints all pages: rows as they come, or one result as if there had been one page. `table` makes rows of
/// a page, with more columns where its second argument says so. Returns what was printed.
pub(super) async fn print_all<M, T>(
    session: &mut Session<'_>,
    action: &str,
    nothing: &str,
    table: impl Fn(&[T], bool, u64) -> Table,
) -> Result<Vec<T>, Problem>
where
    M: Method<Params = PageParams<T::Key>, Result = Page<T>>,
    T: Listed,
{
    let (is_wide, now_ms) = (session.printer.is_wide(), session.printer.now_ms());
    let mut list = session.call::<M>(action, &PageParams::default()).await?;
    let rows = table(&list.entries, is_wide, now_ms);
    if list.next.is_none() {
        session.printer.list(&list, rows, nothing);
        return Ok(list.entries);
    }
    let mut columns = None;
    let mut is_read = session.printer.part(rows, &mut columns);
    while is_read && let Some(after) = list.next.take() {
        let params = PageParams { after: Some(after), limit: None };
        let page = session.call::<M>(action, &params).await?;
        let rows = table(&page.entries, is_wide, now_ms);
        is_read = session.printer.part(rows, &mut columns);
        list.revision = page.revision;
        list.entries.extend(page.entries);
        list.next = page.next;
    }
    session.printer.for_scripts(&list);
    Ok(list.entries)
}
