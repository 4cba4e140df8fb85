import { type LoggedRequest, type Receipt, RequestStatus } from "@routeplane/contracts/usage";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { Facts } from "../../components/facts.tsx";
import { Money } from "../../components/money.tsx";
import { formatCount, formatPicoUsd } from "../../format/money.ts";
import { type ChargeLine, chargeLinesOf, chargeSumOf } from "./charge-lines.ts";

interface ChargeProps {
  readonly request: LoggedRequest;
  readonly receipt: Receipt | undefined;
}

/** Charge of a request: its tokens by kind, their rates, the reservation and the amount charged. */
export function Charge({ request, receipt }: ChargeProps) {
  const { costMicroUsd, reservedMicroUsd, estimated, serviceTier } = request;
  const price = receipt?.price;
  const lines = price === undefined ? [] : chargeLinesOf(request, price);
  const isSum = price !== undefined && chargeSumOf(lines, price) === costMicroUsd;
  return (
    <>
      <Facts
        facts={[
          ["Charged", <Money key="charged" microUsd={costMicroUsd} />],
          ["Reserved", <Money key="reserved" microUsd={reservedMicroUsd} />],
          [
            "Beyond the reservation",
            receipt?.overrunMicroUsd ? <Money microUsd={receipt.overrunMicroUsd} /> : undefined,
          ],
          [
            "Input tokens",
            tokensText(request.promptTokens, [
              ["cached", request.cachedPromptTokens],
              ["written to the cache", request.cacheWriteTokens],
              ["audio", request.promptAudioTokens],
            ]),
          ],
          [
            "Output tokens",
            tokensText(request.completionTokens, [
              ["audio", request.completionAudioTokens],
              ["reasoning", request.reasoningTokens],
            ]),
          ],
          ["Billed model", receipt?.billedModel],
          ["Service tier", serviceTier],
          ["Per request", price?.requestPicoUsd ? formatPicoUsd(price.requestPicoUsd) : undefined],
          ["Prices", price?.version],
        ]}
      />
      {price !== undefined && (
        <DataTable caption="Tokens and their rates" columns={COLUMNS} rows={lines} keyOf={({ kind }) => kind} />
      )}
      <p>{chargeText(request, price !== undefined, isSum, estimated)}</p>
    </>
  );
}

const TOKENS_PER_RATE = 1_000_000n;

const COLUMNS: readonly Column<ChargeLine>[] = [
  { title: "Kind", cell: ({ kind }) => kind },
  { title: "Tokens", cell: ({ tokens }) => formatCount(tokens), isNumber: true },
  {
    title: "Per million tokens",
    cell: ({ ratePicoUsd }) => formatPicoUsd(ratePicoUsd * TOKENS_PER_RATE),
    isNumber: true,
  },
  { title: "Amount", cell: ({ amountPicoUsd }) => formatPicoUsd(amountPicoUsd), isNumber: true },
];

/** Text of a count and its known parts, e.g. `100 (60 cached)`. */
function tokensText(whole: bigint, parts: readonly (readonly [string, bigint | undefined])[]): string {
  const known = parts.flatMap(([name, count]) => (count === undefined ? [] : [`${formatCount(count)} ${name}`]));
  return known.length === 0 ? formatCount(whole) : `${formatCount(whole)} (${known.join(", ")})`;
}

function chargeText(
  { completedAt, status }: LoggedRequest,
  isPriced: boolean,
  isSum: boolean,
  isEstimated: boolean,
): string {
  if (completedAt === undefined) return "It is charged when it has ended; until then its reservation counts.";
  if (status === RequestStatus.DENIED) return "A refused request costs nothing.";
  if (isEstimated) return "The charge is an estimate: what the upstream used is not known exactly.";
  if (!isPriced) return "No price is recorded for it.";
  return isSum ? "The charge is the sum of the amounts, rounded up once to a whole micro-USD." : "";
}
