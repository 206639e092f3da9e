//! Lists that the server answers page by page.

use super::connect::Session;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::rpc::methods::Method;

/// A method that answers with one page of a list.
pub(super) trait Paged: Method<Params: Default> {
    /// What asks for the page after this one; nothing after the last.
    fn next(page: &Self::Result) -> Option<Self::Params>;

    /// Puts the page after it behind what there is.
    fn append(list: &mut Self::Result, page: Self::Result);

    /// A page as people read it.
    fn table(page: &Self::Result, printer: &Printer<'_>) -> Table;
}

/// Prints all pages: rows as they come, or one result as if there had been one page. Each page is of
/// the state of its time. `look` sees each.
pub(super) async fn print_all<M: Paged>(
    session: &mut Session<'_>,
    action: &str,
    nothing: &str,
    mut look: impl FnMut(&M::Result),
) -> Result<(), Problem> {
    let mut list = session.call::<M>(action, &M::Params::default()).await?;
    look(&list);
    let Some(mut params) = M::next(&list) else {
        let table = M::table(&list, &session.printer);
        session.printer.list(&list, table, nothing);
        return Ok(());
    };
    let mut columns = None;
    let table = M::table(&list, &session.printer);
    let mut is_read = session.printer.part(table, &mut columns);
    while is_read {
        let page = session.call::<M>(action, &params).await?;
        look(&page);
        let next = M::next(&page);
        let table = M::table(&page, &session.printer);
        is_read = session.printer.part(table, &mut columns);
        M::append(&mut list, page);
        match next {
            Some(next) => params = next,
            None => break,
        }
    }
    session.printer.for_scripts(&list);
    Ok(())
}
