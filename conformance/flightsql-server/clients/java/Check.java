// Drives a server with the Arrow JDBC driver.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.Properties;

class Check {
    interface Act {
        void run() throws Exception;
    }

    static void check(String client, String command, Act act) {
        String result = "ok";
        String note = "";
        try {
            act.run();
        } catch (Exception | Error error) {
            result = "fail";
            note = String.valueOf(error).replace("\\", "/").replace("\"", "'").replaceAll("\\s+", " ");
        }
        System.out.printf(
                "{\"client\":\"%s\",\"command\":\"%s\",\"result\":\"%s\",\"note\":\"%s\"}%n", client, command, result, note);
    }

    static void expect(Object got, Object wanted) {
        if (!String.valueOf(got).equals(String.valueOf(wanted))) {
            throw new AssertionError(got + " is not " + wanted);
        }
    }

    static int count(ResultSet rows) throws Exception {
        // Closed, or the driver reports a leak when its connection is closed.
        try (rows) {
            int count = 0;
            while (rows.next()) {
                count++;
            }
            return count;
        }
    }

    public static void main(String[] arguments) {
        Properties token = new Properties();
        token.put("token", System.getenv("TOKEN"));
        drive("Arrow JDBC, token", token);
        Properties password = new Properties();
        password.put("user", System.getenv("USER_NAME"));
        password.put("password", System.getenv("PASSWORD"));
        drive("Arrow JDBC, password", password);
        System.exit(0);
    }

    static void drive(String name, Properties properties) {
        properties.put("useEncryption", "false");
        String url = "jdbc:arrow-flight-sql://" + System.getenv("HOST") + ":" + System.getenv("PORT");
        Connection connection;
        try {
            connection = DriverManager.getConnection(url, properties);
        } catch (Exception error) {
            check(name, "connect", () -> { throw error; });
            return;
        }
        check(name, "query", () -> {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT 1 AS one, 'text' AS t, now() AS n")) {
                rows.next();
                expect(rows.getLong(1), 1);
                expect(rows.getString(2), "text");
            }
        });
        check(name, "parameters", () -> {
            try (PreparedStatement statement =
                    connection.prepareStatement("SELECT count(*) FROM log_entries WHERE level <> ?")) {
                statement.setString(1, "NONE");
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    expect(rows.getLong(1), 1440);
                }
            }
        });
        check(name, "update", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("CREATE OR REPLACE TABLE j1 (id BIGINT, PRIMARY KEY (id))");
                expect(statement.executeUpdate("INSERT INTO j1 VALUES (1), (2)"), 2);
            }
        });
        check(name, "prepared update", () -> {
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO j1 VALUES (?)")) {
                statement.setLong(1, 3);
                expect(statement.executeUpdate(), 1);
            }
        });
        check(name, "catalogs", () -> expect(count(connection.getMetaData().getCatalogs()), 1));
        check(name, "schemas", () -> expect(count(connection.getMetaData().getSchemas()), 1));
        check(name, "tables", () -> expect(count(connection.getMetaData().getTables(null, null, "j1", null)), 1));
        check(name, "columns", () -> expect(count(connection.getMetaData().getColumns(null, null, "j1", null)), 1));
        check(name, "table types", () -> expect(count(connection.getMetaData().getTableTypes()), 1));
        check(name, "primary keys", () -> expect(count(connection.getMetaData().getPrimaryKeys(null, null, "j1")), 1));
        check(name, "imported keys", () -> expect(count(connection.getMetaData().getImportedKeys(null, null, "j1")), 0));
        check(name, "exported keys", () -> expect(count(connection.getMetaData().getExportedKeys(null, null, "j1")), 0));
        check(name, "cross reference", () -> expect(
                count(connection.getMetaData().getCrossReference(null, null, "j1", null, null, "j1")), 0));
        check(name, "SqlInfo", () -> {
            expect(connection.getMetaData().getDatabaseProductName(), "Flightcheck reference server");
            expect(connection.getMetaData().supportsSavepoints(), true);
            expect(connection.getMetaData().getSQLKeywords().contains("ILIKE"), true);
        });
        check(name, "close", connection::close);
    }
}
