import { memo, type ReactNode } from "react";
import styles from "./data-table.module.css";

/** Column of a `DataTable`. */
export interface Column<Row> {
  /** Title of the column. If a client chose it, it may be long or repeated: then set `id`. */
  readonly title: string;
  /** Unique id of the column. Default: the title. */
  readonly id?: string;
  readonly cell: (row: Row) => ReactNode;
  /** True for numbers, which are aligned at their last digit. */
  readonly isNumber?: boolean;
  /** True for a column that is hidden on a narrow screen. */
  readonly isOptional?: boolean;
}

interface DataTableProps<Row> {
  /** Name of the table for screen readers. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
}

/** Table. It scrolls horizontally if it is wider than the screen. The first column is the header of the row. */
export function DataTable<Row>({ caption, columns, rows, keyOf }: DataTableProps<Row>) {
  return (
    // A region that scrolls must be reachable by keyboard.
    <div className={styles.scroll} role="region" aria-label={caption} tabIndex={0}>
      <table className={styles.table}>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.id ?? column.title} scope="col" className={classOf(column)} title={column.title}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <TableRow key={keyOf(row)} columns={columns} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface TableRowProps<Row> {
  readonly columns: readonly Column<Row>[];
  readonly row: Row;
}

/** Row of a table. It is rendered again only if its data or the columns change, so that adding a row renders one row. */
const TableRow = memo(function TableRow<Row>({ columns, row }: TableRowProps<Row>) {
  return (
    <tr>
      {columns.map((column, index) =>
        index === 0 ? (
          <th key={column.id ?? column.title} scope="row" className={classOf(column)}>
            {column.cell(row)}
          </th>
        ) : (
          <td key={column.id ?? column.title} className={classOf(column)}>
            {column.cell(row)}
          </td>
        ),
      )}
    </tr>
  );
}) as <Row>(props: TableRowProps<Row>) => ReactNode;

function classOf({ isNumber, isOptional }: Pick<Column<never>, "isNumber" | "isOptional">): string {
  return [isNumber === true && styles.number, isOptional === true && styles.optional].filter(Boolean).join(" ");
}
