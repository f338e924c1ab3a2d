// Drives a server with the GizmoSQL client, which always logs in by Handshake.
import gizmosql from "@gizmodata/gizmosql-client";

const { HOST: host, PORT: port, TOKEN: token, USER_NAME: username, PASSWORD: password } = process.env;

// `itself` is what the client says where it fails by itself: nothing was sent, or no Flight SQL.
async function check(client, command, act, itself) {
  let line = { client, command, result: "ok", note: "" };
  try {
    await act();
  } catch (error) {
    const result = itself && String(error).includes(itself) ? "fails itself" : "fail";
    line = { ...line, result, note: String(error) };
  }
  console.log(JSON.stringify(line));
}

function expect(got, wanted) {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(got)} is not ${JSON.stringify(wanted)}`);
  }
}

async function drive(name, credentials) {
  const client = new gizmosql.FlightSQLClient({ host, port: Number(port), plaintext: true, ...credentials });
  await check(name, "query", async () => {
    const table = await client.execute("SELECT CAST(1 AS INT) AS one, 'text' AS t");
    expect(table.toArray().map((row) => [row.one, row.t]), [[1, "text"]]);
  });
  await check(name, "schema", async () => {
    const schema = await client.getQuerySchema("SELECT 1 AS one, 'text' AS t");
    expect(schema.fields.map((field) => field.name), ["one", "t"]);
  }, "has no FlightInfo"); // the descriptor holds the bare SQL text, not a command
  await check(name, "prepared", async () => {
    const prepared = await client.prepare("SELECT level FROM log_entries LIMIT 3");
    const batches = await client.executePrepared(prepared);
    expect(batches.reduce((rows, batch) => rows + (batch.numRows ?? 1), 0) > 0, true);
    await client.closePrepared(prepared);
  }, "Request message serialization failure");
  await check(name, "catalogs", async () => expect((await client.getCatalogs()).length, 1));
  await check(name, "schemas", async () => expect((await client.getSchemas()).length, 1));
  await check(name, "tables", async () => {
    const tables = await client.getTables(undefined, undefined, "log%");
    expect(tables.map((table) => table.tableName), ["log_entries"]);
  });
  await check(name, "table types", async () => expect((await client.getTableTypes()).includes("TABLE"), true));
  await check(name, "SqlInfo", async () => expect((await client.getSqlInfo()).size > 10, true));
  await check(name, "close", async () => client.close());
}

await drive("GizmoSQL Node, token", { token });
await drive("GizmoSQL Node, password", { username, password });
process.exit(0);
