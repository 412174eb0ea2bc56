use super::*;

fn check(cases: &[(&str, &str)], dominant: Dominant) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(written, said)| (written, said, normalise(written, dominant)))
        .filter(|(_, said, found)| found != *said)
        .map(|(written, said, found)| format!("{written}\n  is  {found}\n  not {said}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn chinese_is_read_as_it_is_said() {
    check(
        &[
            ("你好，世界。", "你好，世界。"),
            ("我有3个苹果和2个梨", "我有三个苹果和两个梨"),
            ("第2名，2月2日，2楼", "第二名，二月二日，二楼"),
            ("共12人", "共十二人"),
            ("2024年3月5日", "二零二四年三月五日"),
            ("1998年", "一九九八年"),
            ("日期是2024-03-05。", "日期是二零二四年三月五日。"),
            ("2024/12/31", "二零二四年十二月三十一日"),
            ("现在14:30", "现在十四点三十分"),
            ("8:00开会，8:05开始", "八点整开会，八点零五分开始"),
            ("2:15:30", "两点十五分三十秒"),
            ("比分是3:2", "比分是三比二"),
            ("价格￥3.50", "价格三点五元"),
            ("$1,234.5", "一千二百三十四点五美元"),
            ("€20和HK$5万", "二十欧元和五万港元"),
            ("3.5元", "三点五元"),
            ("涨了5%", "涨了百分之五"),
            ("下降-2.5%", "下降负百分之二点五"),
            ("3%-5%之间", "百分之三到百分之五之间"),
            ("3-5%", "百分之三到五"),
            ("千分比5‰", "千分比千分之五"),
            ("今天-5℃，明天25°C", "今天零下五摄氏度，明天二十五摄氏度"),
            ("速度60km/h，重2kg", "速度六十公里每小时，重两千克"),
            ("长3.5m，面积20m²", "长三点五米，面积二十平方米"),
            ("内存16GB", "内存十六吉字节"),
            ("占1/2", "占二分之一"),
            ("3-5个", "三到五个"),
            ("10~20人", "十到二十人"),
            ("3+2=5", "三加二等于五"),
            ("版本1.2.3", "版本一点二点三"),
            ("电话13812345678", "电话幺三八，幺二三四，五六七八"),
            ("请拨打110", "请拨打幺幺零"),
            ("固定电话010-12345678", "固定电话零幺零，幺二三四，五六七八"),
            ("编号007", "编号零零七"),
            ("1,234,567人", "一百二十三万四千五百六十七人"),
            ("3.5万", "三点五万"),
            ("2万", "两万"),
            ("气温-5", "气温负五"),
            ("A4纸，5G网络", "A四纸，五G网络"),
            ("张三&李四", "张三和李四"),
            ("我用iPhone 15 Pro", "我用iPhone 十五 Pro"),
        ],
        Dominant::Chinese,
    );
}

#[test]
fn each_stretch_is_read_in_its_language() {
    check(
        &[
            (
                "他说 there are 3 cats in the house 然后走了3步",
                "他说 there are three cats in the house 然后走了三步",
            ),
            ("我有3 apples", "我有三 apples"),
        ],
        Dominant::Chinese,
    );
    check(
        &[
            ("I paid $3.50 for 2 books.", "I paid three dollars and fifty cents for two books."),
            ("The word 你好 has 2 characters.", "The word 你好 has two characters."),
            ("He said 有3个人 in 2024.", "He said 有三个人 in twenty twenty four."),
            ("42", "forty two"),
        ],
        Dominant::English,
    );
}

#[test]
fn nothing_panics_and_no_digit_is_left() {
    use proptest::prelude::*;
    proptest!(|(text in "[0-9a-zA-Z年月日个￥$%:/.,+~℃ \\-]{0,40}")| {
        for dominant in [Dominant::Chinese, Dominant::English] {
            let said = normalise(&text, dominant);
            if dominant == Dominant::Chinese && !text.bytes().any(|b| b.is_ascii_alphabetic()) {
                prop_assert!(!said.bytes().any(|b| b.is_ascii_digit()), "{text} is {said}");
            }
        }
    });
    proptest!(|(text in "\\PC{0,60}")| {
        normalise(&text, Dominant::Chinese);
        normalise(&text, Dominant::English);
    });
}
