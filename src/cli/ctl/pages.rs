//! Lists that come in pages.

use super::connect::Session;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::rpc::methods::{Listed, Method, Page, PageParams};

/// Prints all pages: rows as they come, or one result as if there had been one page. `table` makes rows of
/// a page; `look` sees each page.
pub(super) async fn print_all<M, T>(
    session: &mut Session<'_>,
    action: &str,
    nothing: &str,
    table: impl Fn(&[T], &Printer<'_>) -> Table,
    mut look: impl FnMut(&[T]),
) -> Result<(), Problem>
where
    M: Method<Params = PageParams<T::Key>, Result = Page<T>>,
    T: Listed,
{
    let mut list = session.call::<M>(action, &PageParams::default()).await?;
    look(&list.entries);
    let rows = table(&list.entries, &session.printer);
    if list.next.is_none() {
        session.printer.list(&list, rows, nothing);
        return Ok(());
    }
    let mut columns = None;
    let mut is_read = session.printer.part(rows, &mut columns);
    while is_read && let Some(after) = list.next.take() {
        let params = PageParams { after: Some(after), limit: None };
        let page = session.call::<M>(action, &params).await?;
        look(&page.entries);
        let rows = table(&page.entries, &session.printer);
        is_read = session.printer.part(rows, &mut columns);
        list.revision = page.revision;
        list.entries.extend(page.entries);
        list.next = page.next;
    }
    session.printer.for_scripts(&list);
    Ok(())
}
