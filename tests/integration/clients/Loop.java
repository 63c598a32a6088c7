import java.net.URI;
import java.net.HttpURLConnection;

public class Loop {
	public static void main(String[] arguments) throws Exception {
		System.setProperty("http.keepAlive", "false");
		for (int i = 1; i < arguments.length; i++) {
			HttpURLConnection connection = (HttpURLConnection) URI.create("http://127.0.0.1:" + arguments[0] + arguments[i]).toURL().openConnection();
			System.out.println(connection.getResponseCode() + " " + new String(connection.getInputStream().readAllBytes()));
		}
	}
}
