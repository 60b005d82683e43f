package leap.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** The school years of about 64 students of one school as ONE value of the state store. */
final class StudentPage {
    /** How many pages a school has. A fair gift: its 500 students are known beforehand, so nobody has to be moved. */
    private static final int PAGES = 8;

    private final Map<String, StudentYear> years = new HashMap<>(128);

    /** On which of the school's pages a student is: keys are hashes, so by one of their digits. */
    static String of(Mark mark) {
        return mark.school() + "#" + Character.digit(mark.student().charAt(0), 16) % PAGES;
    }

    StudentYear year(String student) {
        return years.computeIfAbsent(student, unknown -> StudentYear.read(null));
    }

    byte[] written() {
        Map<byte[], byte[]> parts = new HashMap<>(2 * years.size());
        int size = 2;
        for (Map.Entry<String, StudentYear> each : years.entrySet()) {
            byte[] student = each.getKey().getBytes(StandardCharsets.US_ASCII);
            byte[] year = each.getValue().written();
            parts.put(student, year);
            size += 1 + student.length + 4 + year.length;
        }
        ByteBuffer out = ByteBuffer.allocate(size).putShort((short) parts.size());
        parts.forEach((student, year) ->
                out.put((byte) student.length).put(student).putInt(year.length).put(year));
        return out.array();
    }

    static StudentPage read(byte[] bytes) {
        StudentPage page = new StudentPage();
        if (bytes == null) {
            return page;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        for (int count = in.getShort(); count > 0; count--) {
            byte[] student = new byte[in.get()];
            in.get(student);
            byte[] year = new byte[in.getInt()];
            in.get(year);
            page.years.put(new String(student, StandardCharsets.US_ASCII), StudentYear.read(year));
        }
        return page;
    }
}
